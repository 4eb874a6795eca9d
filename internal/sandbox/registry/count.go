package registry

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Request is one request that came over the listener.
type Request struct {
	Method string
	Path   string
	Query  string
	Range  string // header, as sent
	Status int    // 0: the connection was cut before an answer
	In     int64  // bytes of the body that were read
	Out    int64  // bytes of the body that were written
}

// Kind is the request's method and what it is about, without names and
// digests: "GET manifest", "HEAD manifest", "GET blob", "POST upload", "POST
// mount", "PATCH upload", "PUT upload", "PUT manifest", "GET referrers",
// "GET ping", "GET token".
func (r Request) Kind() string {
	what := "other"
	switch {
	case r.Path == "/v2/" || r.Path == "/v2":
		what = "ping"
	case r.Path == tokenPath:
		what = "token"
	case strings.Contains(r.Path, "/manifests/"):
		what = "manifest"
	case strings.Contains(r.Path, "/blobs/uploads/"):
		what = "upload"
		if strings.Contains(r.Query, "mount=") {
			what = "mount"
		}
	case strings.Contains(r.Path, "/blobs/"):
		what = "blob"
	case strings.Contains(r.Path, "/referrers/"):
		what = "referrers"
	case strings.HasSuffix(r.Path, "/tags/list"):
		what = "tags"
	}
	return r.Method + " " + what
}

// Traffic sums requests up.
type Traffic struct {
	Requests int // without pings and tokens
	In, Out  int64
	ByKind   map[string]int // pings and tokens included
}

// Sum adds requests up.
func Sum(requests []Request) Traffic {
	t := Traffic{ByKind: map[string]int{}}
	for _, r := range requests {
		kind := r.Kind()
		t.ByKind[kind]++
		t.In += r.In
		t.Out += r.Out
		if kind != "GET ping" && !strings.HasSuffix(kind, " token") {
			t.Requests++
		}
	}
	return t
}

// Kinds lists what was asked, sorted: "GET blob 2".
func (t Traffic) Kinds() []string {
	kinds := make([]string, 0, len(t.ByKind))
	for kind, n := range t.ByKind {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(kinds)
	return kinds
}

// Requests returns what came in since the start or the last Reset, in the
// order of completion.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Reset forgets the requests that came in so far, and returns them.
func (r *Registry) Reset() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	requests := r.requests
	r.requests = nil
	return requests
}

func (r *Registry) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body := &countingBody{ReadCloser: req.Body}
		writer := &countingWriter{ResponseWriter: w}
		request := Request{
			Method: req.Method, Path: req.URL.Path, Query: req.URL.RawQuery, Range: req.Header.Get("Range"),
		}
		defer func() { // also when the handler aborts
			request.Status, request.In, request.Out = writer.status, body.n, writer.n
			r.mu.Lock()
			r.requests = append(r.requests, request)
			r.mu.Unlock()
		}()
		req.Body = body
		next.ServeHTTP(writer, req)
	})
}

type countingBody struct {
	io.ReadCloser
	n int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err //nolint:wrapcheck // io.EOF has to pass as it is
}

type countingWriter struct {
	http.ResponseWriter
	status int
	n      int64
}

func (w *countingWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err //nolint:wrapcheck // a plain pass-through
}

// Unwrap is for http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
