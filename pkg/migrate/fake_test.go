package migrate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// world of fakes: stateful, in memory, with every writing call written down.
type fakes struct {
	t       *testing.T
	clock   *fakeClock
	repo    *fakeRepo
	images  *fakeImages
	forge   *fakeForge
	cluster *fakeCluster
	config  config.Config
	events  []Event
	// telemetry answers whether a service's has arrived; nil: nobody is asked.
	telemetry Telemetry
	writes    []string // writing calls, in their order
	nocloud   bool     // no cluster is configured
	identity  string
}

const us = "otelshift-bot"

// newFakes is a repository with a Deployment for each name.
func newFakes(t *testing.T, names ...string) *fakes {
	t.Helper()
	f := &fakes{t: t, identity: us, clock: &fakeClock{now: time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)}}
	files := map[string]string{}
	for _, name := range names {
		files["apps/"+name+".yaml"] = deployment(name)
	}
	f.repo = &fakeRepo{f: f, commits: map[string]*fakeCommit{}, branches: map[string]string{}, pulls: map[int]string{}}
	f.repo.main = f.repo.add(&fakeCommit{files: files, message: "start", author: "dev@example.com", committer: "dev@example.com"})
	f.images = &fakeImages{f: f, built: map[string]bool{}, fail: map[string]error{}}
	f.forge = &fakeForge{f: f, may: map[string]bool{"dana": true}, by: map[string]string{}}
	f.cluster = &fakeCluster{f: f, how: map[string]health{}, deployed: map[string]deployed{}}
	f.config = config.Default()
	s := &f.config.Spec
	s.Repository.URL = "https://git.example/acme/deployments.git"
	s.Options.Endpoint = "http://otel-collector.observability:4318"
	s.Batch.First, s.Batch.Size = 2, 2
	s.PullRequest.Dashboard = false // control_test.go has it
	f.cluster.sync()
	return f
}

// deployment is a Tomcat workload under SkyWalking.
func deployment(name string) string {
	return strings.ReplaceAll(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  namespace: shop
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: NAME
          image: registry.example/shop/NAME:1.0 # the release
          env:
            - name: CATALINA_OPTS
              value: "-Xmx1g -javaagent:/home/admin/skywalking-agent/skywalking-agent.jar -Dskywalking.agent.service_name=NAME"
`, "NAME", name)
}

func idOf(name string) fleet.ID {
	return fleet.ID{Kind: "Deployment", Namespace: "shop", Name: name}
}

// migration is a new process over the same world.
func (f *fakes) migration(edits ...func(*Options)) *Migration {
	o := Options{Config: f.config, Events: func(e Event) { f.events = append(f.events, e) }}
	for _, edit := range edits {
		edit(&o)
	}
	ports := Ports{Telemetry: f.telemetry, Manifests: f.repo, Images: f.images, PullRequests: f.forge, Cluster: f.cluster, Clock: f.clock}
	if f.nocloud {
		ports.Cluster = nil
	}
	return New(ports, o)
}

func dry(o *Options) { o.DryRun = true }

func (f *fakes) wrote(format string, args ...any) {
	f.writes = append(f.writes, fmt.Sprintf(format, args...))
}

// count counts the writing calls of a kind.
func (f *fakes) count(kind string) int {
	n := 0
	for _, w := range f.writes {
		if strings.HasPrefix(w, kind) {
			n++
		}
	}
	return n
}

func (f *fakes) propose() ProposeResult {
	f.t.Helper()
	result, err := f.migration().Propose(f.t.Context())
	if err != nil {
		f.t.Fatalf("Propose: %v", err)
	}
	return result
}

func (f *fakes) run() RunResult {
	f.t.Helper()
	result, err := f.migration().Run(f.t.Context())
	if err != nil {
		f.t.Fatalf("Run: %v", err)
	}
	return result
}

func (f *fakes) verify() VerifyResult {
	f.t.Helper()
	result, err := f.migration().Verify(f.t.Context(), Wait{})
	if err != nil {
		f.t.Fatalf("Verify: %v", err)
	}
	return result
}

func (f *fakes) status() fleet.Fleet {
	f.t.Helper()
	state, err := f.migration().Status(f.t.Context())
	if err != nil {
		f.t.Fatalf("Status: %v", err)
	}
	return state
}

// states are the workloads' states by name.
func (f *fakes) states() map[string]fleet.State {
	f.t.Helper()
	states := map[string]fleet.State{}
	for _, w := range f.status().Workloads {
		states[w.ID.Name] = w.State
	}
	return states
}

// fakeClock is virtual: sleeping takes no time.
type fakeClock struct {
	now    time.Time
	onTick func() // after each sleep
}

func (c *fakeClock) Now() time.Time { return c.now }

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	if c.onTick != nil {
		c.onTick()
	}
	return ctx.Err()
}

func (c *fakeClock) pass(d time.Duration) { c.now = c.now.Add(d) }

// fakeRepo is a git repository as maps.
type fakeRepo struct {
	f         *fakes
	commits   map[string]*fakeCommit
	main      string
	branches  map[string]string
	pulls     map[int]string // refs/pull/N/head
	clones    int
	pushes    int // requests
	heads     int // reads of pull requests and branches
	histories int // reads of the history
	fail      error
}

type fakeCommit struct {
	files             map[string]string
	message           string
	author, committer string
	parents           []string
}

// add stores a commit under the hash of all that it says.
func (r *fakeRepo) add(c *fakeCommit) string {
	text := fmt.Sprintf("%s\x00%s\x00%s\x00%v", c.message, c.author, c.committer, c.parents)
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		text += "\x00" + name + "\x00" + c.files[name]
	}
	revision := digest(text)[len("sha256:"):][:40]
	r.commits[revision] = c
	return revision
}

// edit is a person's commit onto main.
func (r *fakeRepo) edit(name string, change func(string) string) {
	files := maps.Clone(r.commits[r.main].files)
	files[name] = change(files[name])
	r.main = r.add(&fakeCommit{files: files, message: "edit " + name, author: "dev@example.com", committer: "dev@example.com", parents: []string{r.main}})
}

func (r *fakeRepo) tree(revision string) fs.FS {
	tree := fstest.MapFS{}
	for name, text := range r.commits[revision].files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

func (r *fakeRepo) Clone(context.Context) (fleet.Checkout, error) {
	r.clones++
	if r.fail != nil {
		return fleet.Checkout{}, r.fail
	}
	return fleet.Checkout{Files: r.tree(r.main), Revision: r.main, Time: r.f.clock.now}, nil
}

func (r *fakeRepo) Branches(_ context.Context, prefix string) (map[string]string, error) {
	found := map[string]string{}
	for name, tip := range r.branches {
		if strings.HasPrefix(name, prefix) {
			found[name] = tip
		}
	}
	return found, nil
}

func (r *fakeRepo) Commit(_ context.Context, spec fleet.CommitSpec) (string, error) {
	r.f.wrote("commit")
	files := maps.Clone(r.commits[spec.Base].files)
	for name, data := range spec.Files {
		files[name] = string(data)
	}
	email := r.f.config.Spec.Commit.Email
	return r.add(&fakeCommit{files: files, message: spec.Message, author: email, committer: email, parents: []string{spec.Base}}), nil
}

func (r *fakeRepo) Push(_ context.Context, updates []fleet.RefUpdate) ([]fleet.RefResult, error) {
	var results []fleet.RefResult
	r.pushes++
	for _, u := range updates {
		r.f.wrote("push %s", u.Branch)
		if r.branches[u.Branch] != u.Old {
			results = append(results, fleet.RefResult{Branch: u.Branch, Err: fmt.Errorf("pushing %s: %w", u.Branch, fleet.ErrStale)})
			continue
		}
		r.branches[u.Branch] = u.New
		for _, p := range r.f.forge.pulls {
			if p.Branch == u.Branch && p.State == fleet.PullRequestOpen {
				r.pulls[p.Number] = u.New // as the forge's refs/pull/N/head
			}
		}
		results = append(results, fleet.RefResult{Branch: u.Branch})
	}
	return results, nil
}

func (r *fakeRepo) head(revision string) fleet.Head {
	r.heads++
	head := fleet.Head{Revision: revision, After: r.tree(revision)}
	main := map[string]bool{}
	for at := r.main; at != ""; {
		main[at] = true
		if parents := r.commits[at].parents; len(parents) > 0 {
			at = parents[0]
		} else {
			at = ""
		}
	}
	for at := revision; !main[at]; at = r.commits[at].parents[0] {
		c := r.commits[at]
		head.Commits = append(head.Commits, fleet.Commit{Revision: at, Parents: c.parents, Message: c.message, AuthorEmail: c.author, CommitterEmail: c.committer})
		head.Base = c.parents[0]
	}
	if head.Base == "" {
		head.Base = revision
	}
	head.Before = r.tree(head.Base)
	return head
}

func (r *fakeRepo) BranchHead(_ context.Context, branch string) (fleet.Head, error) {
	tip, ok := r.branches[branch]
	if !ok {
		return fleet.Head{}, fmt.Errorf("reading %s: %w", branch, fleet.ErrNotFound)
	}
	return r.head(tip), nil
}

func (r *fakeRepo) PullRequestHead(_ context.Context, number int) (fleet.Head, error) {
	tip, ok := r.pulls[number]
	if !ok {
		return fleet.Head{}, fmt.Errorf("reading refs/pull/%d/head: %w", number, fleet.ErrNotFound)
	}
	return r.head(tip), nil
}

func (r *fakeRepo) Change(_ context.Context, revision string) (fleet.Head, error) {
	c, ok := r.commits[revision]
	if !ok || len(c.parents) == 0 {
		return fleet.Head{}, fmt.Errorf("reading %s: %w", revision, fleet.ErrNotFound)
	}
	return fleet.Head{Revision: revision, Base: c.parents[0], Before: r.tree(c.parents[0]), After: r.tree(revision)}, nil
}

func (r *fakeRepo) Contains(_ context.Context, revision, ancestor string) (bool, error) {
	for queue := []string{revision}; len(queue) > 0; {
		at := queue[0]
		queue = queue[1:]
		if at == ancestor {
			return true, nil
		}
		if c := r.commits[at]; c != nil {
			queue = append(queue, c.parents...)
		}
	}
	return false, nil
}

func (r *fakeRepo) History(_ context.Context, q fleet.HistoryQuery) ([]fleet.Commit, error) {
	var found []fleet.Commit
	seen := map[string]bool{}
	for queue := []string{r.main}; len(queue) > 0; {
		at := queue[0]
		queue = queue[1:]
		c := r.commits[at]
		if seen[at] {
			continue
		}
		seen[at] = true
		if strings.Contains(c.message, q.Mark) {
			found = append(found, fleet.Commit{Revision: at, Parents: c.parents, Message: c.message, AuthorEmail: c.author, CommitterEmail: c.committer})
			if q.Enough(found[len(found)-1]) {
				break
			}
		}
		queue = append(queue, c.parents...)
	}
	r.histories++
	return found, nil
}

// fakeImages is a registry.
type fakeImages struct {
	noPayload error // the agent\'s source does not answer
	mu        sync.Mutex
	f         *fakes
	built     map[string]bool
	fail      map[string]error // by From
	failAll   error
	digest    error
	asked     []string // references resolved or built
	payload   string
	digested  int
	inspected []string
	infos     map[string]fleet.ImageInfo // what images say, by reference
	unread    map[string]error           // images that cannot be inspected
	files     map[string]string          // "reference path" -> text
	read      []string                   // of files
}

func (i *fakeImages) Payload(context.Context) (fleet.Payload, error) {
	if i.noPayload != nil {
		return fleet.Payload{}, i.noPayload
	}
	return i.identity(), nil
}

func (i *fakeImages) identity() fleet.Payload {
	return fleet.Payload{Version: "2.20.0", Digest: digest(cmp.Or(i.payload, "agent"))}
}

func digest(of string) string {
	sum := sha256.Sum256([]byte(of))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (i *fakeImages) obtain(r fleet.Rebuild) (fleet.Built, error) {
	i.asked = append(i.asked, r.From)
	if err := cmp.Or(i.fail[r.From], i.failAll); err != nil {
		return fleet.Built{}, err
	}
	payload := i.identity()
	b := fleet.Built{From: r.From, To: r.From + "-otel-" + fleet.BuildHash(payload, digest(r.From), r), Platforms: []string{"linux/amd64"}, Reused: i.built[r.Key()+i.payload]}
	if b.Reused {
		b.Digest = digest(r.Key())
		b.To += "@" + b.Digest
	}
	return b, nil
}

func (i *fakeImages) Resolve(_ context.Context, r fleet.Rebuild) (fleet.Built, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.obtain(r)
}

func (i *fakeImages) Build(_ context.Context, r fleet.Rebuild) (fleet.Built, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	b, err := i.obtain(r)
	if err != nil || b.Reused {
		return b, err
	}
	i.f.wrote("build %s", r.From)
	i.built[r.Key()+i.payload] = true
	b.Digest = digest(r.Key())
	b.To += "@" + b.Digest
	return b, nil
}

func (i *fakeImages) Digest(_ context.Context, ref string) (string, error) {
	i.digested++
	return digest(ref), i.digest
}

func (i *fakeImages) Inspect(_ context.Context, ref string) (fleet.ImageInfo, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.inspected = append(i.inspected, ref)
	if err := i.unread[ref]; err != nil {
		return fleet.ImageInfo{}, err
	}
	info := i.infos[ref]
	info.Reference = ref
	return info, nil
}

func (i *fakeImages) Files(_ context.Context, ref string, paths []string) (map[string]fleet.ImageFile, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.unread[ref]; err != nil {
		return nil, err
	}
	files := map[string]fleet.ImageFile{}
	for _, p := range paths {
		i.read = append(i.read, ref+" "+p)
		text, found := i.files[ref+" "+p]
		files[p] = fleet.ImageFile{Text: text, Found: found}
	}
	return files, nil
}

// fakeForge is GitHub.
type fakeForge struct {
	f     *fakes
	pulls []fleet.PullRequest
	notes map[string]string // "N topic" -> comment
	may   map[string]bool   // logins that may write
	by    map[string]string // label -> who set it
	fail  map[string]error  // by call: "open", "edit", "label", "comment"
	reads int
	asked int // for pull requests of branches

	issue       fleet.Issue
	edits       []fleet.IssueEdit
	issueErr    error
	beforeIssue func() // what a person does right before it is written
}

func (g *fakeForge) failing(call string) error { return g.fail[call] }

func (g *fakeForge) Identity(context.Context) (string, error) {
	g.reads++
	return g.f.identity, nil
}

func (g *fakeForge) List(_ context.Context, since time.Time) (fleet.Listing, error) {
	g.reads++
	var l fleet.Listing
	for _, p := range g.pulls {
		lasting := p.State == fleet.PullRequestOpen || slices.ContainsFunc(fleet.LastingLabels(), p.HasLabel)
		if p.Updated.Before(since) && !lasting {
			l.Older = true
			continue
		}
		l.PullRequests = append(l.PullRequests, p)
	}
	return l, nil
}

func (g *fakeForge) OfBranches(_ context.Context, branches []string) ([]fleet.PullRequest, error) {
	g.asked++
	return slices.DeleteFunc(slices.Clone(g.pulls), func(p fleet.PullRequest) bool {
		return p.Author != g.f.identity || !p.FromBase || !slices.Contains(branches, p.Branch)
	}), nil
}

func (g *fakeForge) at(number int) *fleet.PullRequest { return &g.pulls[number-1] }

func (g *fakeForge) Open(_ context.Context, spec fleet.PullRequestSpec) (fleet.PullRequest, error) {
	if err := g.failing("open"); err != nil {
		return fleet.PullRequest{}, err
	}
	g.f.wrote("open %s", spec.Branch)
	number := len(g.pulls) + 1
	now := g.f.clock.now
	tip := g.f.repo.branches[spec.Branch]
	g.f.repo.pulls[number] = tip
	pull := fleet.PullRequest{
		Number: number, URL: fmt.Sprintf("https://git.example/pull/%d", number), State: fleet.PullRequestOpen, Title: spec.Title, Body: spec.Body,
		Labels: slices.Sorted(slices.Values(spec.Labels)), Branch: spec.Branch, HeadRevision: tip, Base: "main", Author: us, FromBase: true, Created: now, Updated: now,
	}
	g.pulls = append(g.pulls, pull)
	return pull, nil
}

func (g *fakeForge) Edit(_ context.Context, number int, edit fleet.PullRequestEdit) error {
	if err := g.failing("edit"); err != nil {
		return err
	}
	g.f.wrote("edit #%d", number)
	pull := g.at(number)
	pull.Updated = g.f.clock.now
	if edit.Body != nil {
		pull.Body = *edit.Body
	}
	if edit.Close {
		pull.State, pull.Closed = fleet.PullRequestClosed, g.f.clock.now
	}
	return nil
}

func (g *fakeForge) Label(_ context.Context, number int, add, remove []string) error {
	if err := g.failing("label"); err != nil {
		return err
	}
	g.f.wrote("label #%d +%v -%v", number, add, remove)
	g.at(number).Labels = mergeLabels(g.at(number).Labels, add, remove)
	g.at(number).Updated = g.f.clock.now
	return nil
}

func (g *fakeForge) Comment(_ context.Context, number int, topic, body string) error {
	if err := g.failing("comment"); err != nil {
		return err
	}
	g.f.wrote("comment #%d %s", number, topic)
	if g.notes == nil {
		g.notes = map[string]string{}
	}
	g.notes[fmt.Sprintf("%d %s", number, topic)] = body
	return nil
}

func (g *fakeForge) Labelled(_ context.Context, _ int, label string) (string, bool, error) {
	login := cmp.Or(g.by[label], "dana")
	return login, g.may[login], nil
}

func (g *fakeForge) Issue(context.Context, string) (fleet.Issue, error) {
	g.reads++
	if g.issueErr != nil {
		return fleet.Issue{}, g.issueErr
	}
	if g.issue.Number == 0 {
		return fleet.Issue{}, fmt.Errorf("looking for the issue: %w", fleet.ErrNotFound)
	}
	return g.issue, nil
}

func (g *fakeForge) UpsertIssue(_ context.Context, title string, render func(string) string) (fleet.Issue, error) {
	if g.beforeIssue != nil {
		g.beforeIssue()
	}
	body := render(g.issue.Body)
	if err := g.failing("issue"); err != nil {
		return fleet.Issue{}, err
	}
	if body == g.issue.Body && g.issue.Open {
		return g.issue, nil
	}
	g.f.wrote("issue")
	g.issue.Number, g.issue.Title, g.issue.Open = 900, title, true
	g.setIssue(us, body)
	return g.issue, nil
}

func (g *fakeForge) setIssue(by, body string) {
	g.issue.Body = body
	g.edits = append(g.edits, fleet.IssueEdit{By: by, At: g.f.clock.now, Body: body})
}

func (g *fakeForge) IssueEdits(context.Context, int) ([]fleet.IssueEdit, error) {
	g.reads++
	return g.edits, nil
}

func (g *fakeForge) MayWrite(_ context.Context, login string) (bool, error) { return g.may[login], nil }

// tick is a person ticking a box of the control issue.
func (g *fakeForge) tick(login, verb, id string) {
	g.f.t.Helper()
	mark := "- [ ] <!-- otelshift:do " + verb
	if id != "" {
		mark += " " + dashboard.BoxArg(id)
	}
	mark += " -->"
	if !strings.Contains(g.issue.Body, mark) {
		g.f.t.Fatalf("there is no box for %s %s:\n%s", verb, id, g.issue.Body)
	}
	g.setIssue(login, strings.Replace(g.issue.Body, mark, strings.Replace(mark, "[ ]", "[x]", 1), 1))
}

// say is a person setting a label.
func (g *fakeForge) say(number int, label, login string) {
	g.at(number).Labels = mergeLabels(g.at(number).Labels, []string{label}, nil)
	g.by[label] = login
}

// merge is a person merging: the head's changes go onto main.
func (g *fakeForge) merge(number int) {
	r, pull := g.f.repo, g.at(number)
	head := r.head(r.pulls[number])
	files := maps.Clone(r.commits[r.main].files)
	for name, text := range r.commits[head.Revision].files {
		if r.commits[head.Base].files[name] != text {
			files[name] = text
		}
	}
	r.main = r.add(&fakeCommit{
		files: files, message: fmt.Sprintf("Merge #%d", number), author: "dana@example.com", committer: "noreply@github.com", parents: []string{r.main, head.Revision},
	})
	pull.State, pull.MergeRevision, pull.Merged, pull.Closed = fleet.PullRequestMerged, r.main, g.f.clock.now, g.f.clock.now
	pull.Updated = g.f.clock.now
	delete(r.branches, pull.Branch)
	g.f.cluster.sync()
}

// close is a person closing without merging.
func (g *fakeForge) close(number int) {
	g.at(number).State, g.at(number).Closed, g.at(number).Updated = fleet.PullRequestClosed, g.f.clock.now, g.f.clock.now
}

// health is how a workload's pods do with the new template.
type health string

const (
	healthy   health = ""
	crashing  health = "crash"
	unpulled  health = "image pull"
	unready   health = "never ready"
	apiError  health = "api error"
	missing   health = "missing"
	unsynced  health = "not synced"
	onceCrash health = "crashes at the first look"
)

type deployed struct {
	template string
	at       time.Time
	first    bool // nothing has changed since the beginning
}

// fakeCluster deploys main at once.
type fakeCluster struct {
	f         *fakes
	how       map[string]health // by workload name, of changed templates
	deployed  map[string]deployed
	drift     map[string]string // workload name -> live image
	ailing    map[string]bool   // workloads whose first template crash-loops
	nodes     map[string]string // workload name -> node of its pods
	looks     int
	evidences int
}

func (c *fakeCluster) sync() {
	for name, text := range c.f.repo.commits[c.f.repo.main].files {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "apps/"), ".yaml")
		was, known := c.deployed[name]
		if c.how[name] != unsynced && was.template != text {
			c.deployed[name] = deployed{template: text, at: c.f.clock.now, first: !known}
		}
	}
}

func (c *fakeCluster) Observe(ctx context.Context, subjects []rollout.Subject) ([]rollout.Observation, error) {
	c.looks++
	list := make([]rollout.Observation, 0, len(subjects))
	for _, s := range subjects {
		list = append(list, c.observe(s))
		if c.how[s.ID.Name] == onceCrash {
			c.how[s.ID.Name] = healthy
		}
	}
	return list, ctx.Err()
}

func (c *fakeCluster) observe(s rollout.Subject) rollout.Observation {
	name, now := s.ID.Name, c.f.clock.now
	o := rollout.Observation{ID: s.ID, Namespace: s.ID.Namespace, Taken: now}
	d, known := c.deployed[name]
	how := c.how[name]
	switch {
	case how == apiError:
		o.Err = "listing pods: the server is currently unable to handle the request"
		return o
	case how == missing || !known:
		o.Missing = true
		return o
	case d.first && c.ailing[name]:
		how = crashing
	case d.first || how == unsynced:
		how = healthy
	}
	tree := fstest.MapFS{"apps/" + name + ".yaml": {Data: []byte(d.template)}}
	image := "spec.template.spec.containers[name=" + name + "].image"
	values, err := manifest.Values(tree, "apps/"+name+".yaml", s.ID, append([]string{image}, s.Fields...))
	if err != nil {
		c.f.t.Fatalf("reading what is deployed of %s: %v", name, err)
	}
	o.Live = map[string]string{}
	for field, value := range values {
		o.Live[field] = value.Text
	}
	o.Images = map[string]string{name: cmp.Or(c.drift[name], o.Live[image])}
	o.TemplateContainers = []string{name}
	o.Generation, o.ObservedGeneration, o.Replicas, o.Revision = 1, 1, 1, true
	o.RevisionHash, o.RevisionCreated, o.TemplateChanged = digest(d.template)[7:17], d.at, d.at
	pod := rollout.Pod{Name: name + "-" + o.RevisionHash + "-x", Node: c.nodes[name], New: true, Created: d.at, Phase: "Running"}
	container := rollout.Container{Name: name, Image: o.Images[name], Ready: true, Running: d.at}
	ready := rollout.Condition{Type: "Ready", Status: "True", LastTransition: d.at}
	progressing := rollout.Condition{Type: "Progressing", Status: "True", Reason: "NewReplicaSetAvailable", LastUpdate: d.at, LastTransition: d.at}
	o.Counters = rollout.Counters{Replicas: 1, Updated: 1, Ready: 1, Available: 1}
	if how != healthy {
		container.Ready, ready.Status = false, "False"
		progressing.Reason = "ReplicaSetUpdated"
		o.Counters.Ready, o.Counters.Available, o.Counters.Unavailable = 0, 0, 1
	}
	switch how {
	case crashing, onceCrash:
		container.Running, container.Waiting, container.Restarts = time.Time{}, "CrashLoopBackOff", 4
		container.Last = &rollout.Termination{Reason: "Error", ExitCode: 1, Started: now.Add(-20 * time.Second), Finished: now.Add(-10 * time.Second)}
	case unpulled:
		container.Running, container.Waiting, container.WaitingMessage = time.Time{}, "ImagePullBackOff", "Back-off pulling image: manifest unknown"
	case unready:
		progressing.Status, progressing.Reason, progressing.LastUpdate = "False", "ProgressDeadlineExceeded", now
	case healthy, apiError, missing, unsynced:
	}
	pod.Containers, pod.Conditions = []rollout.Container{container}, []rollout.Condition{ready}
	o.Pods, o.Conditions = []rollout.Pod{pod}, []rollout.Condition{progressing}
	return o
}

func (c *fakeCluster) Evidence(_ context.Context, _ rollout.Observation, failing []fleet.Evidence) []fleet.Evidence {
	c.evidences++
	failing = slices.Clone(failing)
	for i := range failing {
		failing[i].Log = []string{"Error opening zip file or JAR manifest missing : /otel/opentelemetry-javaagent.jar"}
	}
	return failing
}

var errDown = fmt.Errorf("asking registry.example: %w", fleet.ErrUnavailable)

var errBroken = errors.New("reading layer 3: unexpected EOF")

// fakeTelemetry knows services that send, and those that were asked for.
type fakeTelemetry struct {
	sends map[string]bool
	err   error
	asked []string
}

func (t *fakeTelemetry) Received(_ context.Context, service string, workload fleet.ID) (bool, error) {
	t.asked = append(t.asked, workload.Name+" as "+service)
	return t.sends[service], t.err
}
