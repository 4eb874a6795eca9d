package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// Filters of partial clones; git rev-list, "--filter".
const (
	noFilter  packp.Filter = ""
	noBlobs   packp.Filter = "blob:none"
	noTrees   packp.Filter = "tree:0"
	wantBatch              = 20_000 // object ids in one request: 1 MB
)

// request is one fetch.
type request struct {
	wants  []plumbing.Hash
	depth  int // commits; 0: no limit
	filter packp.Filter
}

// fetch brings objects into the store; the caller holds mu.
func (r *Repository) fetch(ctx context.Context, q request) error {
	err := r.remote.retry(ctx, func() error { return r.fetchOnce(ctx, q) })
	if err != nil {
		return r.remote.fail("fetching from", err)
	}
	return nil
}

func (r *Repository) fetchOnce(ctx context.Context, q request) (err error) {
	session, err := r.remote.upload(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if closing := session.Close(); err == nil && !r.remote.stateless() && closing != nil && !errors.Is(closing, io.EOF) {
			r.options.Log.DebugContext(ctx, "closing git session", "error", r.remote.scrub(closing.Error()))
		}
	}()
	ask := packp.NewUploadPackRequestFromCapabilities(r.remote.caps)
	ask.Wants = append([]plumbing.Hash{}, q.wants...)
	if q.depth > 0 {
		ask.Depth = packp.DepthCommits(q.depth)
		if err := ask.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
	}
	if q.filter != noFilter {
		ask.Filter = q.filter
		if err := ask.Capabilities.Set(capability.Filter); err != nil {
			return err
		}
	}
	if r.remote.caps.Supports(capability.NoProgress) {
		if err := ask.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	answer, err := session.UploadPack(ctx, ask)
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	defer answer.Close() //nolint:errcheck // everything was read, or the error is told
	var pack io.Reader = answer
	switch {
	case ask.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case ask.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	if err := packfile.UpdateObjectStorage(r.store, pack); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("reading the pack: %w", err))
	}
	return nil
}

// needTrees brings all trees of the commits in, and their files too where the
// server cannot leave them out.
func (r *Repository) needTrees(ctx context.Context, commits ...plumbing.Hash) error {
	var missing []plumbing.Hash
	for _, c := range commits {
		if !r.trees[c] && len(r.made[c]) == 0 {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if r.remote.caps == nil {
		if err := r.advertise(ctx); err != nil {
			return err
		}
	}
	filter := noFilter
	if r.remote.filters() {
		filter = noBlobs
	}
	if err := r.fetch(ctx, request{wants: missing, depth: 1, filter: filter}); err != nil {
		return err
	}
	for _, c := range missing {
		r.trees[c] = true
		r.whole[c] = filter == noFilter
	}
	return nil
}

// needBlobs brings files in: from the cache, by id, or, when most of a commit's
// files are wanted, with the whole commit at once, which is faster then.
func (r *Repository) needBlobs(ctx context.Context, commit plumbing.Hash, blobs []plumbing.Hash, total int) error {
	r.openCache(ctx)
	missing := make([]plumbing.Hash, 0, len(blobs))
	seen := make(map[plumbing.Hash]bool, len(blobs))
	for _, b := range blobs {
		if !seen[b] && !r.readable(b) {
			seen[b] = true
			missing = append(missing, b)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	r.options.Log.DebugContext(ctx, "fetching files", "files", len(missing), "of", total)
	if len(missing) > 1000 && len(missing)*3 > total && !r.whole[commit] && len(r.made[commit]) == 0 {
		if err := r.fetch(ctx, request{wants: []plumbing.Hash{commit}, depth: 1}); err != nil {
			return err
		}
		r.whole[commit] = true
	} else {
		for start := 0; start < len(missing); start += wantBatch {
			if err := r.fetch(ctx, request{wants: missing[start:min(start+wantBatch, len(missing))]}); err != nil {
				return err
			}
		}
	}
	for _, b := range missing {
		if r.store.HasEncodedObject(b) != nil {
			return fmt.Errorf("fetching from %s: the server did not send %s", r.remote.name, b)
		}
	}
	r.keep(ctx, missing)
	return nil
}

// commit reads a commit of the store; false when it is not there.
func (r *Repository) commit(h plumbing.Hash) (*object.Commit, bool) {
	c, err := object.GetCommit(r.store, h)
	return c, err == nil
}

// nearby is how many commits are asked for at first.
const nearby = 32

// deepen calls decide with ever more of the history of the commits in the
// store, until it has decided or everything is there. Only commits are fetched
// where the server can leave out the rest.
func (r *Repository) deepen(ctx context.Context, from []plumbing.Hash, decide func(complete bool) (decided bool)) error {
	if decide(false) {
		return nil
	}
	if r.remote.caps == nil {
		if err := r.advertise(ctx); err != nil {
			return err
		}
	}
	filter := noFilter
	if r.remote.filters() {
		filter = noTrees
	}
	for depth := max(nearby, r.depth); ; depth *= 8 {
		full := depth > 20_000
		if full {
			depth = 0
		}
		err := r.fetch(ctx, request{wants: from, depth: depth, filter: filter})
		if err != nil && filter == noTrees && !isKnown(err) {
			filter = noBlobs // a server may forbid the other
			err = r.fetch(ctx, request{wants: from, depth: depth, filter: filter})
		}
		if err != nil {
			return err
		}
		r.depth = max(r.depth, depth)
		if decide(full) || full {
			return nil
		}
	}
}

// isKnown tells errors with a cause that another filter does not mend.
func isKnown(err error) bool {
	var e *remoteError
	return !errors.As(err, &e) || e.kind != nil
}
