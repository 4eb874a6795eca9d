package main

import (
	"io"
	"net/http"
	"sync/atomic"
)

// traffic counts the bytes of bodies that git, the forge and registries get
// and send, for people who wait. It is safe for use by several goroutines.
type traffic struct{ down, up atomic.Int64 }

func (t *traffic) read() (down, up int64) {
	if t == nil {
		return 0, 0
	}
	return t.down.Load(), t.up.Load()
}

// through is a transport whose bodies are counted.
func (t *traffic) through(next http.RoundTripper) http.RoundTripper {
	if t == nil {
		return next
	}
	return countingTransport{next, t}
}

type countingTransport struct {
	next    http.RoundTripper
	traffic *traffic
}

// RoundTrip implements http.RoundTripper.
func (c countingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil && request.Body != http.NoBody {
		request = request.Clone(request.Context())
		request.Body = countingBody{request.Body, &c.traffic.up}
	}
	response, err := c.next.RoundTrip(request)
	if err == nil && response.Body != nil && response.StatusCode != http.StatusSwitchingProtocols {
		response.Body = countingBody{response.Body, &c.traffic.down}
	}
	return response, err
}

type countingBody struct {
	io.ReadCloser
	n *atomic.Int64
}

// Read implements io.Reader.
func (b countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
