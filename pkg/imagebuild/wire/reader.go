package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Sizes of the ranges that are asked for: the first is enough for the parent
// directories that a builder lists first, the last keeps the requests of a
// whole layer few.
const (
	firstRange = 128 << 10
	lastRange  = 16 << 20
)

// Ranges reads a blob from its start in growing ranges, so that a reader who
// stops early has moved little. It resumes where a connection broke. A
// registry that ignores Range is read as one stream. The content is not
// checked against the digest: a part of it cannot be.
func (r *Repo) Ranges(ctx context.Context, d Descriptor) io.ReadCloser {
	return &ranges{ctx: ctx, repo: r, blob: d, next: firstRange}
}

// Whole reads a blob as one stream; its last Read fails if the content has
// another digest.
func (r *Repo) Whole(ctx context.Context, d Descriptor) io.ReadCloser {
	return &whole{ReadCloser: &ranges{ctx: ctx, repo: r, blob: d, next: d.Size}, digest: d.Digest, sum: sha256.New()}
}

type ranges struct {
	ctx    context.Context //nolint:containedctx // an io.Reader has no other way to learn of it
	repo   *Repo
	blob   Descriptor
	next   int64 // length of the next range
	offset int64 // of the next byte
	end    int64 // of the answer that is being read
	body   io.ReadCloser
	broken int // connections that broke since the last byte
}

// Read implements io.Reader.
func (r *ranges) Read(p []byte) (int, error) {
	for {
		if r.offset >= r.blob.Size {
			return 0, io.EOF
		}
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p)
		r.offset += int64(n)
		if n > 0 {
			r.broken = 0
		}
		if err != nil {
			_ = r.body.Close() // used up, or broken
			r.body = nil
			if r.offset < r.end && !errors.Is(err, context.Canceled) {
				err = r.resume(err)
			} else if errors.Is(err, io.EOF) {
				err = nil
			}
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// resume lets the next Read go on behind what arrived.
func (r *ranges) resume(cause error) error {
	r.broken++
	if r.broken >= r.repo.client.options.Attempts || r.ctx.Err() != nil {
		if errors.Is(cause, io.EOF) {
			cause = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading blob %s of %s: %w", r.blob.Digest, r.repo.Name(), classify(r.ctx, cause))
	}
	return r.repo.pause(r.ctx, r.broken)
}

func (r *ranges) open() error {
	end := min(r.offset+r.next, r.blob.Size)
	q := request{method: http.MethodGet, path: "/blobs/" + r.blob.Digest}
	if r.offset > 0 || end < r.blob.Size {
		q.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", r.offset, end-1)}}
	}
	resp, err := r.repo.do(r.ctx, q, http.StatusPartialContent, http.StatusOK)
	var refused *Error
	if errors.As(err, &refused) && q.header != nil && (refused.Status == http.StatusRequestedRangeNotSatisfiable || refused.Status == http.StatusNotImplemented) {
		q.header = nil // it knows no ranges
		resp, err = r.repo.do(r.ctx, q)
	}
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		end = r.blob.Size
		if _, err := io.CopyN(io.Discard, resp.Body, r.offset); err != nil {
			_ = resp.Body.Close() // broken anyway
			return r.resume(err)
		}
	} else if start, ok := contentStart(resp.Header.Get("Content-Range")); !ok || start != r.offset {
		_ = resp.Body.Close() // not what was asked for
		return fmt.Errorf("reading blob %s of %s: %w: content range %q, asked from %d",
			r.blob.Digest, r.repo.Name(), ErrUnexpected, resp.Header.Get("Content-Range"), r.offset)
	}
	r.body, r.end = resp.Body, end
	r.next = min(r.next*4, lastRange)
	return nil
}

// contentStart reads "bytes 0-99/1000". RFC 9110, section 14.4.
func contentStart(value string) (int64, bool) {
	rest, ok := strings.CutPrefix(value, "bytes ")
	if !ok {
		return 0, false
	}
	start, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(start, 10, 64)
	return n, err == nil
}

// Close implements io.Closer. A small rest is read, because the connection is
// worth more; with a large one the connection is dropped.
func (r *ranges) Close() error {
	rest := r.end - r.offset
	r.offset = r.blob.Size
	if r.body == nil {
		return nil
	}
	if rest <= firstRange {
		_, _ = io.Copy(io.Discard, r.body) // if it breaks, so much for the connection
	}
	err := r.body.Close()
	r.body = nil
	return err
}

type whole struct {
	io.ReadCloser
	digest string
	sum    hash.Hash
	n      int64
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.sum.Write(p[:n])
	w.n += int64(n)
	if errors.Is(err, io.EOF) {
		if got := "sha256:" + hex.EncodeToString(w.sum.Sum(nil)); got != w.digest {
			return n, fmt.Errorf("reading blob %s: %w: its content has the digest %s", w.digest, ErrUnexpected, got)
		}
	}
	return n, err //nolint:wrapcheck // io.EOF has to pass as it is
}
