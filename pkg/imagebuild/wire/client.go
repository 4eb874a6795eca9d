package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Options of a Client.
type Options struct {
	Keychain  authn.Keychain    // nil: anonymous
	Transport http.RoundTripper // nil: go-containerregistry's default, which honours proxies
	// Insecure are registries whose certificates are not checked, and that are
	// asked over plain http where https does not answer, as Docker's
	// insecure-registries are. Loopback and private addresses need no entry for
	// plain http.
	Insecure []string
	// Rewrite sends what is meant for one host to another: host -> host.
	// "docker.io" and "index.docker.io" are the same.
	Rewrite map[string]string
	// Concurrency is how many requests may run at once; default 96.
	Concurrency int
	// PerRegistry is how many of them may run at one registry; default 48.
	PerRegistry int
	// Attempts for a request that a later try may help; default 5.
	Attempts int
	// Budget is how long all waits between the attempts for one request may
	// take together; default 1 minute. A Retry-After beyond it is an error.
	Budget time.Duration
	Sleep  func(ctx context.Context, d time.Duration) error // nil: a timer
	Now    func() time.Time                                 // for Retry-After dates; nil: they are ignored
	Log    *slog.Logger                                     // nil: silent
}

// Access is what a repository is opened for.
type Access string

// The accesses; Push includes Pull.
const (
	Pull Access = "pull"
	Push Access = "pull,push"
)

// Client talks to registries. It is safe for use by several goroutines.
type Client struct {
	options Options
	base    http.RoundTripper // limits and retries, below authentication

	mu       sync.Mutex
	registry map[string]*registry // by name, after Rewrite
}

// registry is what is known of one registry.
type registry struct {
	name name.Registry

	ping      sync.Mutex // held while asking
	challenge *transport.Challenge

	mu       sync.Mutex
	sessions map[string]*session            // by repository
	holders  map[string]map[string]struct{} // digest -> repositories that have it
	shared   []string                       // repositories that hold blobs to mount
	flights  map[string]chan struct{}       // digest -> closed when its first upload ended
	lied     map[string]struct{}            // repositories that lacked what was said to be mounted
}

// session is what is known of a repository's authentication: whose
// credentials it takes, and a token and what that allows.
type session struct {
	mu     sync.Mutex // held while asking for either
	auth   authn.Authenticator
	scopes []string
	rt     http.RoundTripper
}

// New makes a client. It makes no request.
func New(o Options) *Client {
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain()
	}
	if o.Transport == nil {
		o.Transport = remote.DefaultTransport
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 96
	}
	if o.PerRegistry <= 0 {
		o.PerRegistry = 48
	}
	if o.Attempts <= 0 {
		o.Attempts = 5
	}
	if o.Budget <= 0 {
		o.Budget = time.Minute
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	// Names have several spellings: docker.io, index.docker.io.
	rewrite := map[string]string{}
	for from, to := range o.Rewrite {
		rewrite[canonical(from)] = to
	}
	insecure := make([]string, len(o.Insecure))
	for i, host := range o.Insecure {
		insecure[i] = canonical(host)
	}
	o.Rewrite, o.Insecure = rewrite, insecure
	return &Client{options: o, base: newPatient(o), registry: map[string]*registry{}}
}

// canonical is a registry's name as references are read; what is none stays.
func canonical(host string) string {
	parsed, err := name.NewRegistry(host, name.WeakValidation)
	if err != nil {
		return host
	}
	return parsed.RegistryStr()
}

// Transport is the client's own, with its limits and retries and without its
// authentication: for another client of the same registries.
func (c *Client) Transport() http.RoundTripper { return c.base }

// Repository parses a repository's name the way the client will ask for it,
// Rewrite and Insecure applied.
func (c *Client) Repository(repository string) (name.Repository, error) {
	parsed, err := name.NewRepository(repository, name.WeakValidation)
	if err != nil {
		return name.Repository{}, fmt.Errorf("reading repository %q: %w", repository, err)
	}
	host := parsed.RegistryStr()
	target := host
	if to, ok := c.options.Rewrite[host]; ok {
		target = to
	}
	var options []name.Option
	options = append(options, name.WeakValidation)
	if slices.Contains(c.options.Insecure, host) || slices.Contains(c.options.Insecure, canonical(target)) {
		options = append(options, name.Insecure)
	}
	reg, err := name.NewRegistry(target, options...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("reading registry %q: %w", target, err)
	}
	return reg.Repo(parsed.RepositoryStr()), nil
}

// Open opens a repository, "registry.example.com/shop/cart". It makes no
// request.
func (c *Client) Open(repository string, access Access) (*Repo, error) {
	parsed, err := c.Repository(repository)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := parsed.RegistryStr()
	r := c.registry[key]
	if r == nil {
		r = &registry{
			name: parsed.Registry, sessions: map[string]*session{},
			holders: map[string]map[string]struct{}{}, flights: map[string]chan struct{}{}, lied: map[string]struct{}{},
		}
		c.registry[key] = r
	}
	return &Repo{client: c, registry: r, path: parsed.RepositoryStr(), access: access}, nil
}

// greet asks the registry once what authentication it wants.
func (c *Client) greet(ctx context.Context, r *registry) error {
	r.ping.Lock()
	defer r.ping.Unlock()
	if r.challenge != nil {
		return nil
	}
	challenge, err := transport.Ping(ctx, r.name, c.base)
	if err != nil {
		return fmt.Errorf("asking %s: %w", r.name, classify(ctx, err))
	}
	r.challenge = challenge
	return nil
}

// introduce finds out whose credentials the repository takes; s.mu is held.
// Repositories of one registry may have different ones.
func (c *Client) introduce(ctx context.Context, s *session, repo *Repo) (err error) {
	if s.auth != nil {
		return nil
	}
	r := repo.registry
	auth, err := authn.Resolve(ctx, c.options.Keychain, r.name.Repo(repo.path))
	if err != nil {
		return fmt.Errorf("finding the credentials for %s: %w", r.name, err)
	}
	if !strings.EqualFold(r.challenge.Scheme, "bearer") { // no tokens
		if s.rt, err = transport.FromToken(r.name, auth, c.base, r.challenge, &transport.Token{}); err != nil {
			return fmt.Errorf("asking %s: %w", r.name, err)
		}
	}
	s.auth = auth
	return nil
}

// session returns a transport whose token covers the repository and, for a
// mount, another one that is read from.
func (c *Client) session(ctx context.Context, repo *Repo, from string) (http.RoundTripper, error) {
	r := repo.registry
	if err := c.greet(ctx, r); err != nil {
		return nil, err
	}
	r.mu.Lock()
	s := r.sessions[repo.path]
	if s == nil {
		s = &session{}
		r.sessions[repo.path] = s
	}
	wanted := []string{"repository:" + repo.path + ":" + string(repo.access)}
	if from != "" && from != repo.path {
		wanted = append(wanted, "repository:"+from+":pull")
	}
	expected := slices.Clone(wanted)
	if repo.access == Push { // one token, also for the mount that will follow
		for _, holder := range r.shared {
			if scope := "repository:" + holder + ":pull"; holder != repo.path && !slices.Contains(expected, scope) {
				expected = append(expected, scope)
			}
		}
	}
	r.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.introduce(ctx, s, repo); err != nil {
		return nil, err
	}
	if !strings.EqualFold(r.challenge.Scheme, "bearer") {
		return s.rt, nil
	}
	if s.rt != nil && !slices.ContainsFunc(wanted, func(scope string) bool { return !s.covers(scope) }) {
		return s.rt, nil
	}
	token, err := c.token(ctx, r, s.auth, expected)
	if err != nil && len(expected) > 1 && errors.Is(err, fleet.ErrDenied) {
		// Some servers refuse everything when one repository may not be read.
		// Without it the mount is declined, and the blob is sent.
		token, err = c.token(ctx, r, s.auth, wanted[:1])
	}
	if err != nil {
		return nil, fmt.Errorf("asking for a token for %s/%s: %w", r.name, repo.path, err)
	}
	s.scopes, s.rt = expected, &bearer{client: c, registry: r, auth: s.auth, scopes: expected, token: token}
	return s.rt, nil
}

// covers also accepts a token to push where one to pull is wanted.
func (s *session) covers(scope string) bool {
	return slices.Contains(s.scopes, scope) || slices.Contains(s.scopes, scope+",push")
}

// Knows tells the client that a repository holds a blob, without asking.
func (r *Repo) Knows(digest string) {
	reg := r.registry
	reg.mu.Lock()
	defer reg.mu.Unlock()
	reg.note(digest, r.path)
}

// Holders lists the repositories of the registry that are known to hold the
// blob, sorted.
func (r *Repo) Holders(digest string) []string {
	reg := r.registry
	reg.mu.Lock()
	defer reg.mu.Unlock()
	var holders []string
	for path := range reg.holders[digest] {
		holders = append(holders, path)
	}
	slices.Sort(holders)
	return holders
}

// Forget drops what is known of the blobs of the repository, after the
// registry said that it lacks one. From then on blobs are asked for or sent
// there, not mounted.
func (r *Repo) Forget() {
	reg := r.registry
	reg.mu.Lock()
	defer reg.mu.Unlock()
	for _, holders := range reg.holders {
		delete(holders, r.path)
	}
	reg.lied[r.path] = struct{}{}
	reg.shared = slices.DeleteFunc(reg.shared, func(path string) bool { return path == r.path })
}

// note records a holder; reg.mu is held.
func (r *registry) note(digest, path string) {
	if r.holders[digest] == nil {
		r.holders[digest] = map[string]struct{}{}
	}
	r.holders[digest][path] = struct{}{}
}

// maxShared is how many repositories a token covers besides its own.
const maxShared = 4

// share remembers a repository that others will mount from; reg.mu is held.
func (r *registry) share(path string) {
	if !slices.Contains(r.shared, path) && len(r.shared) < maxShared {
		r.shared = append(r.shared, path)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

var errNoLocation = errors.New("it names no place to upload to")
