package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Blob is content that a repository has to have.
type Blob struct {
	Descriptor
	// Open returns the content; it is called only when it has to be sent, and
	// again when that has to be done again.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Shared blobs belong to many repositories: the registry is asked whether
	// it has them, the first upload is waited for, the others mount it.
	Shared bool
}

// Bytes is the Open of content that is at hand.
func Bytes(content []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
}

// Ensure makes sure that the repository has the blob, by the cheapest means:
// knowing, mounting, asking, sending.
func (r *Repo) Ensure(ctx context.Context, b Blob) error {
	reg := r.registry
	for {
		reg.mu.Lock()
		holders := reg.holders[b.Digest]
		if _, here := holders[r.path]; here {
			reg.mu.Unlock()
			return nil
		}
		from := ""
		for holder := range holders { // any will do; the least is the same every time
			if from == "" || holder < from {
				from = holder
			}
		}
		if _, lied := reg.lied[r.path]; lied && from != "" {
			reg.mu.Unlock()
			return r.first(ctx, b)
		}
		if from != "" || !b.Shared {
			reg.mu.Unlock()
			return r.bring(ctx, b, from)
		}
		flight, busy := reg.flights[b.Digest]
		if !busy {
			flight = make(chan struct{})
			reg.flights[b.Digest] = flight
			reg.mu.Unlock()
			err := r.first(ctx, b)
			reg.mu.Lock()
			delete(reg.flights, b.Digest)
			reg.mu.Unlock()
			close(flight)
			return err
		}
		reg.mu.Unlock()
		select { // another repository sends it; mount it then
		case <-flight:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// first brings a shared blob that is not known to be anywhere in the registry:
// it may be here from an earlier run.
func (r *Repo) first(ctx context.Context, b Blob) error {
	resp, err := r.do(ctx, request{method: http.MethodHead, path: "/blobs/" + b.Digest})
	switch {
	case err == nil:
		closeBody(resp)
		r.landed(b)
		return nil
	case !errors.Is(err, fleet.ErrNotFound) && !errors.Is(err, fleet.ErrDenied):
		// Denied may be the place that the answer leads to, which takes GET only;
		// whether we may write is for the upload to say.
		return err
	}
	return r.bring(ctx, b, "")
}

// bring mounts the blob or sends it. An upload that breaks begins anew: its
// session may have kept a part.
func (r *Repo) bring(ctx context.Context, b Blob, from string) error {
	for attempt := 1; ; attempt++ {
		err := r.try(ctx, b, from)
		if err == nil {
			r.landed(b)
			return nil
		}
		if attempt >= r.client.options.Attempts || ctx.Err() != nil || !worthAnother(err) {
			return err
		}
		if e := r.pause(ctx, attempt); e != nil {
			return e
		}
	}
}

// worthAnother: the server failed or the session was lost, not the content.
func worthAnother(err error) bool {
	var lost *Error
	if errors.As(err, &lost) && lost.Method == http.MethodPut {
		return lost.Status == http.StatusNotFound || lost.Status == http.StatusRequestedRangeNotSatisfiable ||
			lost.Status >= http.StatusInternalServerError
	}
	// Whatever reached an Error otherwise was tried often enough below.
	return lost == nil && errors.Is(err, fleet.ErrUnavailable)
}

func (r *Repo) landed(b Blob) {
	reg := r.registry
	reg.mu.Lock()
	defer reg.mu.Unlock()
	reg.note(b.Digest, r.path)
	if b.Shared {
		reg.share(r.path)
	}
}

func (r *Repo) try(ctx context.Context, b Blob, from string) error {
	begin := request{method: http.MethodPost, path: "/blobs/uploads/", from: from}
	if from != "" {
		begin.query = url.Values{"mount": {b.Digest}, "from": {from}}.Encode()
	}
	resp, err := r.do(ctx, begin, http.StatusAccepted, http.StatusCreated) //nolint:bodyclose // closed below, by closeBody or after reading
	if err != nil && from != "" {
		// It may not read the other repository, that one is gone, or the
		// registry does not mount: send.
		var refused *Error
		if errors.As(err, &refused) && refused.Status != http.StatusMethodNotAllowed &&
			(!errors.Is(err, fleet.ErrUnavailable) || refused.Status == http.StatusNotImplemented) {
			begin.query, begin.from = "", ""
			resp, err = r.do(ctx, begin, http.StatusAccepted) //nolint:bodyclose // closed below, by closeBody or after reading
		}
	}
	if err != nil {
		return err
	}
	defer closeBody(resp)
	if resp.StatusCode == http.StatusCreated {
		if from == "" {
			return fmt.Errorf("uploading to %s: %w: 201 before anything was sent", r.Name(), ErrUnexpected)
		}
		return nil // mounted
	}
	location, err := resp.Location() // resolved against the request
	if err != nil {
		return fmt.Errorf("uploading to %s: %w: %w", r.Name(), ErrUnexpected, errNoLocation)
	}
	query := location.Query() // some registries keep their state there
	query.Set("digest", b.Digest)
	location.RawQuery = query.Encode()
	put, err := r.do(ctx, request{
		method: http.MethodPut, url: location.String(), open: b.Open, size: b.Size,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
	}, http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return err
	}
	defer closeBody(put)
	if got := put.Header.Get("Docker-Content-Digest"); got != "" && got != b.Digest {
		return fmt.Errorf("uploading to %s: %w: the registry stored %s, not %s", r.Name(), ErrUnexpected, got, b.Digest)
	}
	return nil
}
