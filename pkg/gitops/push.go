package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Push moves branches, each by the server's own compare-and-swap: one refused
// update does not stop the others. A branch that already is where it shall be
// is fine, so a repeated push does nothing. Updates go in chunks; where a
// policy of the server refuses a whole chunk it is halved. The base branch is
// never pushed to. The error is about the whole request: then nothing is known
// of the updates that have no result.
func (r *Repository) Push(ctx context.Context, updates []fleet.RefUpdate) ([]fleet.RefResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	results := make([]fleet.RefResult, 0, len(updates))
	for start := 0; start < len(updates); start += r.options.RefsPerPush {
		part, err := r.pushChunk(ctx, updates[start:min(start+r.options.RefsPerPush, len(updates))])
		results = append(results, part...)
		if err != nil {
			return results, r.remote.fail("pushing to", err)
		}
	}
	return results, nil
}

func (r *Repository) pushChunk(ctx context.Context, updates []fleet.RefUpdate) ([]fleet.RefResult, error) {
	results, policy, err := r.send(ctx, updates)
	if err != nil || !policy || len(updates) < 2 {
		return results, err
	}
	half := len(updates) / 2
	r.options.Log.DebugContext(ctx, "server refuses the push as a whole, trying halves", "branches", len(updates))
	first, err := r.pushChunk(ctx, updates[:half])
	if err != nil {
		return first, err
	}
	second, err := r.pushChunk(ctx, updates[half:])
	return append(first, second...), err
}

// send is one request. policy reports that a hook of the server refused all of
// it.
func (r *Repository) send(ctx context.Context, updates []fleet.RefUpdate) (results []fleet.RefResult, policy bool, err error) {
	endpoint, auth, err := r.remote.open(ctx)
	if err != nil {
		return nil, false, err
	}
	session, err := r.remote.client.NewReceivePackSession(endpoint, auth)
	if err != nil {
		return nil, false, err
	}
	defer session.Close() //nolint:errcheck // the report says what became of the push
	advertised, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, false, err
	}
	results = make([]fleet.RefResult, len(updates))
	ask := packp.NewReferenceUpdateRequestFromCapabilities(advertised.Capabilities)
	waiting := map[plumbing.ReferenceName]int{}
	var commits []plumbing.Hash
	for i, u := range updates {
		results[i].Branch = u.Branch
		command, done, err := r.command(u, advertised.References)
		if done || err != nil {
			results[i].Err = err
			continue
		}
		ask.Commands = append(ask.Commands, command)
		waiting[command.Name] = i
		commits = append(commits, command.New)
	}
	if len(ask.Commands) == 0 {
		return results, false, nil
	}
	if !advertised.Capabilities.Supports(capability.ReportStatus) {
		return nil, false, errors.New("the server does not report what becomes of a push")
	}
	if err := r.fill(ask, advertised.Capabilities, commits); err != nil {
		return nil, false, err
	}
	var said bytes.Buffer
	ask.Progress = &said
	report, err := session.ReceivePack(ctx, ask)
	if report == nil {
		return nil, false, errors.Join(ctx.Err(), err, errors.New("the server did not report what became of the push"))
	}
	if report.UnpackStatus != "ok" {
		return nil, false, fmt.Errorf("the server could not read the pack: %s%s", report.UnpackStatus, r.said(said.String()))
	}
	policy = true
	for _, status := range report.CommandStatuses {
		i, ours := waiting[status.ReferenceName]
		if !ours {
			continue
		}
		delete(waiting, status.ReferenceName)
		if results[i].Err = r.refused(updates[i], status.Status, said.String()); results[i].Err == nil {
			r.moved(updates[i])
		}
		policy = policy && status.Status == "pre-receive hook declined"
	}
	for _, i := range waiting {
		results[i].Err = &remoteError{text: fmt.Sprintf("pushing %s: the server did not report on it: %s", updates[i].Branch, fleet.ErrUnavailable), kind: fleet.ErrUnavailable}
		policy = false
	}
	return results, policy, nil
}

// command turns an update into git's, or tells that it is done or impossible.
func (r *Repository) command(u fleet.RefUpdate, refs map[string]plumbing.Hash) (*packp.Command, bool, error) {
	c := &packp.Command{Name: plumbing.ReferenceName(branchRef(u.Branch))}
	if u.Branch == r.options.Branch {
		return nil, false, fmt.Errorf("pushing %s: it is the base branch: %w", u.Branch, fleet.ErrDenied)
	}
	var err error
	if u.Old != "" {
		if c.Old, err = parse(u.Old); err != nil {
			return nil, false, err
		}
	}
	if u.New != "" {
		if c.New, err = parse(u.New); err != nil {
			return nil, false, err
		}
	}
	switch at := refs[c.Name.String()]; {
	case at == c.New:
		r.moved(u) // somebody, or a run that died, was here before
		return nil, true, nil
	case at != c.Old:
		return nil, false, stale(u, at)
	}
	return c, false, nil
}

func stale(u fleet.RefUpdate, at plumbing.Hash) error {
	where := "is at " + at.String()
	if at.IsZero() {
		where = "is not there"
	}
	expected := u.Old
	if expected == "" {
		expected = "nothing"
	}
	return fmt.Errorf("pushing %s: it %s, not at %s: %w", u.Branch, where, expected, fleet.ErrStale)
}

func (r *Repository) moved(u fleet.RefUpdate) {
	if u.New == "" {
		delete(r.refs, branchRef(u.Branch))
		return
	}
	r.refs[branchRef(u.Branch)] = plumbing.NewHash(u.New)
}

// fill puts capabilities and the pack of exactly the objects that we made into
// the request.
func (r *Repository) fill(ask *packp.ReferenceUpdateRequest, caps *capability.List, commits []plumbing.Hash) error {
	want := []capability.Capability{capability.Sideband64k}
	objects := map[plumbing.Hash]bool{}
	packed := false
	for _, c := range commits {
		packed = packed || !c.IsZero()
		r.collect(c, objects)
	}
	for _, command := range ask.Commands {
		if command.Action() == packp.Delete {
			want = append(want, capability.DeleteRefs)
			break
		}
	}
	for _, name := range want {
		if caps.Supports(name) {
			if err := ask.Capabilities.Set(name); err != nil {
				return err
			}
		}
	}
	if !packed {
		return nil
	}
	var pack bytes.Buffer
	if _, err := packfile.NewEncoder(&pack, r.store, false).Encode(sortedHashes(objects), 0); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	ask.Packfile = io.NopCloser(&pack)
	return nil
}

// collect gathers the objects of a commit of ours and of those of ours that it
// stands on.
func (r *Repository) collect(c plumbing.Hash, into map[plumbing.Hash]bool) {
	made := r.made[c]
	if len(made) == 0 || into[c] {
		return
	}
	for _, h := range made {
		into[h] = true
	}
	if commit, there := r.commit(c); there {
		for _, p := range commit.ParentHashes {
			r.collect(p, into)
		}
	}
}

// refused turns the server's word on one ref into an error. The protocol gives
// it as text only; the texts are git's (builtin/receive-pack.c) and GitHub's.
func (r *Repository) refused(u fleet.RefUpdate, status, said string) error {
	if status == "ok" {
		return nil
	}
	kind := error(nil)
	switch {
	case strings.Contains(status, "hook declined"), strings.Contains(status, "protected"),
		strings.Contains(status, "prohibited"), strings.Contains(status, "hidden ref"), strings.Contains(status, "denied"):
		kind = fleet.ErrDenied
	case strings.Contains(status, "failed to update ref"), strings.Contains(status, "cannot lock"),
		strings.Contains(status, "already exists"), strings.Contains(status, "stale"),
		strings.Contains(status, "fetch first"), strings.Contains(status, "non-fast-forward"), strings.Contains(status, "reference does not exist"):
		kind = fleet.ErrStale
	}
	text := fmt.Sprintf("pushing %s: the server refuses: %s%s", u.Branch, status, r.said(said))
	if kind != nil {
		text += ": " + kind.Error()
	}
	return &remoteError{text: r.remote.scrub(text), kind: kind}
}

// said is what the server told beside its report, on one line.
func (r *Repository) said(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "error: ")); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	joined := strings.Join(lines, " ")
	if len(joined) > 500 {
		joined = joined[:500] + "…"
	}
	return " (" + r.remote.scrub(joined) + ")"
}
