package forge

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/cgi" //nolint:gosec // Httpoxy was mended in Go 1.6.3
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Role is what a user may do with the repository.
type Role string

// The roles, weakest first.
const (
	None   Role = "none"
	Read   Role = "read"
	Triage Role = "triage"
	Write  Role = "write"
	Admin  Role = "admin"
)

func (r Role) rank() int {
	return slices.Index([]Role{None, Read, Triage, Write, Admin}, r)
}

// User is an account. The password of git's basic authentication is the token,
// the user name of it is not looked at.
type User struct {
	Login string
	Token string
	Role  Role // empty: Write
	Name  string
	Email string // empty: Login@users.noreply.forge.invalid
	Bot   bool
	// Denied are permissions that the token lacks although the user has the
	// role: "issues=write", "pull_requests=write", "contents=write", "workflows=write".
	Denied []string
}

// App is a GitHub App that is installed in the repository; it acts as
// Slug+"[bot]".
type App struct {
	ID           int64
	Installation int64
	Slug         string
	Key          *rsa.PublicKey
	// Lifetime of installation tokens; zero: an hour.
	Lifetime time.Duration
}

// Options say what Start makes.
type Options struct {
	Owner, Repo string
	Branch      string // default branch; empty: main
	// Files is the content of the first commit; FS adds to it. Without either the
	// repository has one file, README.md.
	Files map[string][]byte
	FS    fs.FS
	Users []User // the first one is the author of the first commit
	App   *App
	// Now tells the time of commits and events; required. Steps makes one that
	// gives the same times in every run.
	Now func() time.Time

	// Protected branches, by name or shell pattern, refuse pushes and deletion by
	// everybody; merging a pull
	// request is how they move.
	Protected []string
	// MaxRefsPerPush refuses pushes that update more refs; zero: no limit.
	MaxRefsPerPush int
	// NoFilter makes the git server offer no partial clones.
	NoFilter bool
	// DeleteBranchOnMerge removes the head branch once its pull request is merged.
	DeleteBranchOnMerge bool
	// AllowAutoMerge lets GraphQL's enablePullRequestAutoMerge succeed.
	AllowAutoMerge bool

	// Dir holds the bare repository; empty: a temporary folder that Close
	// removes.
	Dir string
	// Middleware wraps the whole server: tests look at requests and responses.
	Middleware func(http.Handler) http.Handler
}

// Answer is an injected response.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
	// Abort drops the connection without an answer.
	Abort bool
	// After lets the request have its effect first: the answer is lost, the
	// effect is not.
	After bool
}

// Request is what hooks are told about a request.
type Request struct {
	*http.Request
	// Operation is GitHub's operation id ("pulls/create"), "graphql", or
	// "git/upload-pack", "git/receive-pack", "git/info-refs".
	Operation string
	// Login of the caller; empty without valid credentials.
	Login string
}

// Effect is something that changed the forge.
type Effect struct {
	Operation string
	Login     string
	Number    int // running number, from 1
}

// Forge is a running server.
type Forge struct {
	options Options
	url     string
	repo    *repository
	server  *http.Server
	served  chan error
	temp    string

	hooks    sync.Mutex // guards what follows
	inject   func(Request) (Answer, bool)
	onEffect func(Effect)
	requests map[string]int
	effects  int

	mu         sync.Mutex // guards what follows, and the order of changes of refs
	accounts   []*account
	threads    []*thread // number 1 first
	labels     map[string]*label
	milestones []*milestone
	checks     map[string][]check // by revision
	nextID     int64
	used       int // requests, for the rate limit headers
	resetAt    time.Time
}

// account is a user or an app's installation.
type account struct {
	User
	id      int64
	app     bool
	expires time.Time // of the token; zero: never
}

// Start makes the repository and serves it until Close, or until ctx ends.
func Start(ctx context.Context, o Options) (*Forge, error) {
	if o.Owner == "" || o.Repo == "" || o.Now == nil {
		return nil, errors.New("starting forge: Owner, Repo and Now are required")
	}
	if o.Branch == "" {
		o.Branch = "main"
	}
	f := &Forge{
		options: o, requests: map[string]int{}, labels: map[string]*label{}, checks: map[string][]check{},
		nextID: 1000, served: make(chan error, 1), resetAt: o.Now().Add(time.Hour),
	}
	for _, u := range o.Users {
		f.addAccount(u)
	}
	if o.App != nil {
		f.addAccount(User{Login: o.App.Slug + "[bot]", Role: Write, Bot: true}).app = true
	}
	dir := o.Dir
	if dir == "" {
		temp, err := os.MkdirTemp("", "otelshift-forge-")
		if err != nil {
			return nil, fmt.Errorf("starting forge: %w", err)
		}
		f.temp, dir = temp, temp
	}
	if err := f.start(ctx, filepath.Join(dir, o.Owner, o.Repo+".git")); err != nil {
		return nil, errors.Join(fmt.Errorf("starting forge: %w", err), f.Close())
	}
	return f, nil
}

func (f *Forge) start(ctx context.Context, dir string) error {
	repo, err := newRepository(ctx, dir, f.options)
	if err != nil {
		return err
	}
	f.repo = repo
	files, err := f.options.files()
	if err != nil {
		return err
	}
	author := User{Login: f.options.Owner}
	if len(f.options.Users) > 0 {
		author = f.accounts[0].User
	}
	if _, err := repo.commit(ctx, commitInput{
		branch: f.options.Branch, message: "first commit", author: person(author), when: f.options.Now(), files: files,
	}); err != nil {
		return fmt.Errorf("making the first commit: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	f.url = "http://" + listener.Addr().String()
	handler := f.routes(&cgi.Handler{
		Path: repo.backend, Root: "/", Env: []string{
			"GIT_PROJECT_ROOT=" + filepath.Dir(filepath.Dir(dir)), "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "HOME=" + dir,
		},
		InheritEnv: []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"},
	})
	if f.options.Middleware != nil {
		handler = f.options.Middleware(handler)
	}
	f.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: 30 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() { f.served <- f.server.Serve(listener) }()
	return nil
}

func (o Options) files() (map[string][]byte, error) {
	files := maps.Clone(o.Files)
	if files == nil {
		files = map[string][]byte{}
	}
	if o.FS != nil {
		err := fs.WalkDir(o.FS, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files[name], err = fs.ReadFile(o.FS, name)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading the first commit's files: %w", err)
		}
	}
	if len(files) == 0 {
		files["README.md"] = []byte("# " + o.Repo + "\n")
	}
	return files, nil
}

// Close stops the server and removes the temporary repository. It may be
// called twice.
func (f *Forge) Close() error {
	var err error
	if f.server != nil {
		err = f.server.Close()
		if served := <-f.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		f.server = nil
	}
	if f.temp != "" {
		err = errors.Join(err, os.RemoveAll(f.temp))
		f.temp = ""
	}
	if err != nil {
		return fmt.Errorf("closing forge: %w", err)
	}
	return nil
}

// URL is the root of the server, without a slash at its end.
func (f *Forge) URL() string { return f.url }

// CloneURL is the repository's address for git, and for otelshift.yaml.
func (f *Forge) CloneURL() string {
	return f.url + "/" + f.options.Owner + "/" + f.options.Repo + ".git"
}

// Dir is the bare repository's folder.
func (f *Forge) Dir() string { return f.repo.dir }

// Inject sets a hook that may answer a request in the forge's stead; nil
// removes it. It runs in the server's goroutines.
func (f *Forge) Inject(hook func(Request) (Answer, bool)) {
	f.hooks.Lock()
	defer f.hooks.Unlock()
	f.inject = hook
}

// OnEffect sets a hook that runs after every change, before the client gets
// the answer; nil removes it. A test that kills its client there has a client
// that never learned what it did.
func (f *Forge) OnEffect(hook func(Effect)) {
	f.hooks.Lock()
	defer f.hooks.Unlock()
	f.onEffect = hook
}

// Requests counts requests by operation since the start, or the last call of
// ResetRequests; operations are named as in Request.
func (f *Forge) Requests() map[string]int {
	f.hooks.Lock()
	defer f.hooks.Unlock()
	return maps.Clone(f.requests)
}

// ResetRequests sets the counters of Requests to zero.
func (f *Forge) ResetRequests() {
	f.hooks.Lock()
	defer f.hooks.Unlock()
	f.requests = map[string]int{}
}

// Steps is a clock for Options.Now: the first reading is start, each further
// one a step later.
func Steps(start time.Time, step time.Duration) func() time.Time {
	var mu sync.Mutex
	next := start
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		t := next
		next = next.Add(step)
		return t
	}
}

func (f *Forge) addAccount(u User) *account {
	if u.Role == "" {
		u.Role = Write
	}
	if u.Name == "" {
		u.Name = u.Login
	}
	if u.Email == "" {
		u.Email = strings.ReplaceAll(u.Login, "[bot]", "") + "@users.noreply.forge.invalid"
	}
	a := &account{User: u, id: int64(100 + len(f.accounts))}
	f.accounts = append(f.accounts, a)
	return a
}

// account finds a user by login; the caller holds mu, or nobody else runs yet.
func (f *Forge) account(login string) *account {
	for _, a := range f.accounts {
		if strings.EqualFold(a.Login, login) && (a.Token == "" || !strings.HasPrefix(a.Token, "ghs_")) {
			return a
		}
	}
	return nil
}

// authenticate finds the caller. ok is false when credentials were sent and
// are wrong; without credentials the account is nil.
func (f *Forge) authenticate(r *http.Request) (a *account, ok bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, true
	}
	token := ""
	if _, password, basic := r.BasicAuth(); basic {
		token = password
	} else if kind, value, found := strings.Cut(header, " "); found &&
		(strings.EqualFold(kind, "bearer") || strings.EqualFold(kind, "token")) {
		token = strings.TrimSpace(value)
	}
	if strings.Count(token, ".") == 2 {
		return nil, true // an app's JWT: its own operations check it
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.accounts {
		if token != "" && a.Token == token && (a.expires.IsZero() || f.options.Now().Before(a.expires)) {
			return a, true
		}
	}
	return nil, false
}

// id gives the next identifier of a comment, event or label.
func (f *Forge) id() int64 {
	f.nextID++
	return f.nextID
}
