package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/plan"
)

// window is how far back pull requests are listed. Of what ended earlier the
// forge still names what was declined or holds; the rest is in our commits on
// the base branch, which are read memory back.
const (
	window = 180 * 24 * time.Hour
	memory = 5 * 365 * 24 * time.Hour
)

// ErrAgent is about the agent's own source: its registry was asked and did not
// give it.
var ErrAgent = errors.New("reading the agent")

// world is what one run knows before it decides anything.
type world struct {
	checkout fleet.Checkout
	scan     manifest.Result
	owners   []byte
	payload  fleet.Payload
	target   string // hash
	identity string
	pulls    []fleet.PullRequest // ours, newest first
	older    bool                // there were more of ours before those
	control  *control            // nil: there is no control issue
	unread   error               // why the control issue could not be read, until it is said
	history  []ledger.Commit     // ours on the base branch, newest first; read only if older
	// backing are the records of merged pull requests of ours, by branch, that the
	// forge was asked for because commits on the base branch name them.
	backing  map[string][]fleet.Record
	ledger   ledger.Ledger
	restored map[int]fleet.Record // by pull request: recomputed from its commit
	// commits are the workloads that our own commits of merged pull requests
	// change; nil where there is no commit of ours any more.
	commits map[int][]fleet.RecordWorkload
}

// look reads repository, payload and pull requests side by side.
func (m *Migration) look(ctx context.Context) (*world, error) {
	w := newWorld()
	return w, m.ask(ctx, w, m.read)
}

func newWorld() *world {
	return &world{restored: map[int]fleet.Record{}, backing: map[string][]fleet.Record{}, commits: map[int][]fleet.RecordWorkload{}}
}

// ask fills in what is not in the repository: payload and pull requests. Others
// are asked side by side with them.
func (m *Migration) ask(ctx context.Context, w *world, others ...func(context.Context, *world) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, other := range others {
		group.Go(func() error { return other(groupCtx, w) })
	}
	if m.ports.Images != nil {
		group.Go(func() error {
			payload, err := m.ports.Images.Payload(groupCtx)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrAgent, err)
			}
			w.payload = payload
			return nil
		})
	}
	if m.ports.PullRequests != nil {
		group.Go(func() error { return m.list(groupCtx, w) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	w.target = plan.TargetHash(m.opt.Config, w.payload)
	if err := m.remember(ctx, w); err != nil {
		return err
	}
	m.fold(w)
	m.restore(ctx, w)
	return nil
}

// read clones and scans.
func (m *Migration) read(ctx context.Context, w *world) error {
	m.event(Event{Stage: StageClone, Subject: m.spec.Repository.URL})
	checkout, err := m.ports.Manifests.Clone(ctx)
	if err != nil {
		return fmt.Errorf("cloning the manifest repository: %w", err)
	}
	if checkout.Revision != "" && checkout.Revision == w.checkout.Revision {
		return nil // nothing moved since it was scanned
	}
	w.checkout = checkout
	m.event(Event{Stage: StageScan, Subject: checkout.Revision})
	w.scan, err = manifest.Scan(ctx, checkout.Files, m.scanOptions())
	if err != nil {
		return fmt.Errorf("reading manifests: %w", err)
	}
	w.owners, err = m.readOwners(checkout.Files)
	return err
}

func (m *Migration) scanOptions() manifest.Options {
	return manifest.Options{
		Include: m.spec.Repository.Include, Exclude: m.spec.Repository.Exclude,
		MaxFileSize: int64(m.spec.Repository.MaxFileSize), Repository: m.spec.Repository.URL,
		Every: m.opt.every || m.spec.Image.Inspect == "all",
	}
}

// readOwners reads the first CODEOWNERS file that GitHub would use.
func (m *Migration) readOwners(files fs.FS) ([]byte, error) {
	for _, name := range []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"} {
		data, err := fs.ReadFile(files, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		return data, nil
	}
	return nil, nil
}

// list reads who we are and what we have proposed.
func (m *Migration) list(ctx context.Context, w *world) error {
	identity, err := m.ports.PullRequests.Identity(ctx)
	if err != nil {
		return fmt.Errorf("asking the forge who we are: %w", err)
	}
	listing, err := m.ports.PullRequests.List(ctx, m.now().Add(-window))
	if err != nil {
		return fmt.Errorf("listing pull requests: %w", err)
	}
	w.identity, w.older = identity, listing.Older
	w.pulls = slices.DeleteFunc(listing.PullRequests, func(p fleet.PullRequest) bool { return !ledger.Concerns(p, m.spec.Repository.Branch) })
	if w.control == nil {
		m.readControl(ctx, w)
	}
	return ctx.Err()
}

// fold derives the ledger anew; call it after w.pulls changed.
func (m *Migration) fold(w *world) {
	said := ledger.Control{}
	if w.control != nil {
		said = w.control.state
	}
	w.ledger = ledger.Fold(ledger.Input{
		Control:      said,
		PullRequests: w.pulls, Identity: w.identity, Former: m.spec.PullRequest.FormerIdentities, BranchPrefix: m.spec.PullRequest.BranchPrefix,
		Base: m.spec.Repository.Branch, TargetHash: w.target, Now: m.now(), Wait: m.spec.Batch.Wait, Gate: m.spec.Verify.Gate.Std(), MaxOpen: m.spec.Batch.MaxOpen,
		Restored: w.restored, History: w.history,
	})
}

// pull returns the pull request with the number, for changing it in place.
func (w *world) pull(number int) *fleet.PullRequest {
	i := slices.IndexFunc(w.pulls, func(p fleet.PullRequest) bool { return p.Number == number })
	if i < 0 {
		return nil
	}
	return &w.pulls[i]
}

// input is what planning needs of the world.
func (m *Migration) input(w *world) plan.Input {
	in := plan.Input{
		Config: m.opt.Config, Scan: w.scan, Payload: w.payload, Owners: w.owners,
		Offline:  m.ports.Images == nil,
		Revision: fleet.RepositoryRevision{URL: m.spec.Repository.URL, Revision: w.checkout.Revision},
		Images:   map[string]fleet.Built{}, Digests: map[string]string{}, Failed: map[string]error{},
		Inspected: map[string]fleet.ImageInfo{}, Files: map[string]map[string]fleet.ImageFile{}, Live: map[fleet.ID]map[string]string{},
	}
	if m.ports.PullRequests != nil {
		in.Ledger = &w.ledger
	}
	return in
}
