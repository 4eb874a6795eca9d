package gitops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Author is who our commits are by.
type Author struct{ Name, Email string }

// SSH says how an ssh:// or git@ address is reached. Host keys are always
// checked.
type SSH struct {
	Key        []byte   // private key, PEM; empty: the agent behind SSH_AUTH_SOCK
	Passphrase string   // of Key
	KnownHosts []string // files; empty: SSH_KNOWN_HOSTS, then ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
}

// Options of New. URL and Branch are required, the author for committing only.
type Options struct {
	// URL is an https, http or ssh address, git@host:path, file:// or a plain
	// path (these two need the git program). It holds no password.
	URL    string
	Branch string // base branch
	// Auth gives the credentials of an HTTP server, one call per request; nil:
	// none are sent. For GitHub the user is x-access-token.
	Auth   func(ctx context.Context) (user, password string, err error)
	SSH    SSH
	Author Author
	// SignOff adds a Signed-off-by trailer.
	SignOff bool
	// SigningKey is an SSH private key, ed25519 or RSA, PEM; empty: unsigned.
	SigningKey []byte
	// Transport carries HTTP, with proxies and certificates configured in it;
	// nil: http.DefaultTransport.
	Transport http.RoundTripper
	// RefsPerPush limits the branches of one request; zero: 50.
	RefsPerPush int
	// BlobCacheDir keeps contents of files between runs; empty: nothing is
	// kept. It may be lost at any time.
	BlobCacheDir string
	Log          *slog.Logger // nil: silence
}

// Repository is the manifest repository on its server. Its methods may be
// called from several goroutines; they work one at a time.
type Repository struct {
	options Options
	remote  *remote
	signer  signer
	cache   *blobCache

	mu    sync.Mutex // guards what follows
	store *memory.Storage
	refs  map[string]plumbing.Hash // by full name, as last advertised and as changed by Push
	// trees are the commits whose trees are all in store.
	trees map[plumbing.Hash]bool
	// made are the objects of commits of ours that the server may lack.
	made map[plumbing.Hash][]plumbing.Hash
	// whole are commits fetched with all their files.
	whole   map[plumbing.Hash]bool
	depth   int // of the history that is in store, beginning at the tips that were asked for
	decoded map[plumbing.Hash]*decodedTree
}

// New checks the options; it talks to nobody.
func New(o Options) (*Repository, error) {
	if o.Branch == "" {
		return nil, errors.New("opening repository: branch is empty")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.RefsPerPush <= 0 {
		o.RefsPerPush = 50
	}
	remote, err := newRemote(o)
	if err != nil {
		return nil, fmt.Errorf("opening repository: %w", err)
	}
	r := &Repository{
		options: o, remote: remote, store: memory.NewStorage(), refs: map[string]plumbing.Hash{}, trees: map[plumbing.Hash]bool{},
		made: map[plumbing.Hash][]plumbing.Hash{}, whole: map[plumbing.Hash]bool{}, decoded: map[plumbing.Hash]*decodedTree{},
	}
	if len(o.SigningKey) > 0 {
		if r.signer, err = newSigner(o.SigningKey); err != nil {
			return nil, fmt.Errorf("reading the signing key: %w", err)
		}
	}
	if o.BlobCacheDir != "" {
		r.cache = newBlobCache(o.BlobCacheDir)
	}
	return r, nil
}

func branchRef(branch string) string { return "refs/heads/" + branch }

// Clone reads the head of the base branch. The files it gives may fetch from
// the server while they are read, for as long as ctx lives; a caller that knows
// which files it will read calls Prefetch first (see Prefetcher). A second call
// asks the server again and downloads only when the branch has moved.
func (r *Repository) Clone(ctx context.Context) (fleet.Checkout, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.advertise(ctx); err != nil {
		return fleet.Checkout{}, err
	}
	head, found := r.refs[branchRef(r.options.Branch)]
	if !found {
		return fleet.Checkout{}, fmt.Errorf("cloning %s: branch %q%s: %w", r.remote.name, r.options.Branch, r.otherBranches(), fleet.ErrNoBranch)
	}
	if err := r.needTrees(ctx, head); err != nil {
		return fleet.Checkout{}, err
	}
	commit, err := object.GetCommit(r.store, head)
	if err != nil {
		return fleet.Checkout{}, fmt.Errorf("cloning %s: reading commit %s: %w", r.remote.name, head, err)
	}
	r.options.Log.DebugContext(ctx, "cloned repository", "url", r.remote.name, "revision", head.String(), "objects", len(r.store.Objects))
	return fleet.Checkout{Files: r.files(ctx, commit), Revision: head.String(), Time: commit.Committer.When.UTC()}, nil
}

func (r *Repository) otherBranches() string {
	var names []string
	for _, ref := range fleet.SortedKeys(r.refs) {
		if name, isBranch := strings.CutPrefix(ref, "refs/heads/"); isBranch {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		return " (the repository has none)"
	case len(names) > 5:
		return fmt.Sprintf(" (there are %s and %d more)", strings.Join(names[:5], ", "), len(names)-5)
	}
	return fmt.Sprintf(" (there are %s)", strings.Join(names, ", "))
}

// Branches returns the branches whose name starts with prefix and their tips,
// as the last Clone saw them and Push has moved them since.
func (r *Repository) Branches(_ context.Context, prefix string) (map[string]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	branches := map[string]string{}
	for ref, tip := range r.refs {
		if name, isBranch := strings.CutPrefix(ref, "refs/heads/"); isBranch && strings.HasPrefix(name, prefix) {
			branches[name] = tip.String()
		}
	}
	return branches, nil
}

// advertise asks the server for its refs.
func (r *Repository) advertise(ctx context.Context) error {
	refs, err := r.remote.advertise(ctx)
	if err != nil {
		return r.remote.fail("reading", err)
	}
	r.refs = refs
	return nil
}

// parse reads a full commit id.
func parse(revision string) (plumbing.Hash, error) {
	if !plumbing.IsHash(revision) {
		return plumbing.ZeroHash, fmt.Errorf("revision %q: want a full commit id", revision)
	}
	return plumbing.NewHash(revision), nil
}
