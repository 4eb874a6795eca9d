package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// patient is a transport with limits on how much is asked at once, that tries
// again what may be tried again.
type patient struct {
	options Options
	lax     http.RoundTripper // for Options.Insecure; nil: there are none
	slots   chan struct{}

	mu    sync.Mutex
	lanes map[string]*lane // by host
}

// lane is what may go to one host.
type lane struct {
	slots chan struct{}

	// Guarded by patient.mu.
	resting int           // requests that a 429 told to wait
	held    chan struct{} // closed when the last of them has; nil: there are none
}

func newPatient(o Options) *patient {
	p := &patient{
		options: o, slots: make(chan struct{}, o.Concurrency), lanes: map[string]*lane{},
	}
	if t, ok := o.Transport.(*http.Transport); ok && len(o.Insecure) > 0 {
		lax := t.Clone()
		if lax.TLSClientConfig == nil {
			lax.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		lax.TLSClientConfig.InsecureSkipVerify = true
		p.lax = lax
	}
	return p
}

// transport to a host: only for those that the configuration calls insecure
// are certificates not checked.
func (p *patient) transport(host string) http.RoundTripper {
	if p.lax == nil {
		return p.options.Transport
	}
	for _, insecure := range p.options.Insecure {
		to, rewritten := p.options.Rewrite[insecure]
		if host == insecure || rewritten && host == canonical(to) {
			return p.lax
		}
	}
	return p.options.Transport
}

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	var waited time.Duration
	for attempt := 1; ; attempt++ {
		resp, err := p.once(ctx, req)
		wait, again := p.again(req, resp, err, attempt)
		busy := resp != nil && resp.StatusCode == http.StatusTooManyRequests // no failure: only the budget ends it
		if !again || wait > p.options.Budget-waited || attempt >= p.options.Attempts && !busy {
			return resp, err
		}
		next := req.Clone(ctx)
		if req.GetBody != nil {
			body, e := req.GetBody()
			if e != nil {
				return resp, err
			}
			next.Body = body
		}
		status := 0
		if resp != nil {
			status = resp.StatusCode
			closeBody(resp)
		}
		p.options.Log.LogAttrs(ctx, slog.LevelDebug, "asking the registry again",
			slog.String("method", req.Method), slog.String("path", req.URL.Path),
			slog.Int("status", status), slog.Duration("wait", wait))
		if e := p.rest(ctx, req.URL.Host, jitter(wait), busy); e != nil {
			return nil, e
		}
		waited += wait
		req = next
	}
}

// jitter keeps requests that failed together apart. It only adds: what a server
// asked for is the least.
func jitter(wait time.Duration) time.Duration {
	return wait + time.Duration(rand.Int64N(int64(min(wait/2, 2*time.Second))+1)) //nolint:gosec // nothing depends on it
}

// rest waits before a request is sent again. A host that is busy gets no other
// request meanwhile.
func (p *patient) rest(ctx context.Context, host string, wait time.Duration, busy bool) error {
	if busy {
		p.hold(host)
		defer p.release(host)
	}
	return p.options.Sleep(ctx, wait)
}

func (p *patient) hold(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lane(host)
	if l.resting++; l.held == nil {
		l.held = make(chan struct{})
	}
}

func (p *patient) release(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lane(host)
	if l.resting--; l.resting == 0 {
		close(l.held)
		l.held = nil
	}
}

// lane of a host; p.mu is held.
func (p *patient) lane(host string) *lane {
	l := p.lanes[host]
	if l == nil {
		l = &lane{slots: make(chan struct{}, p.options.PerRegistry)}
		p.lanes[host] = l
	}
	return l
}

// once asks when there is room.
func (p *patient) once(ctx context.Context, req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	l := p.lane(req.URL.Host)
	held := l.held
	p.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	for _, slots := range []chan struct{}{l.slots, p.slots} {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return p.transport(req.URL.Host).RoundTrip(req)
}

// leastWait before a request is sent again, whatever a server says: a budget of
// time ends the attempts.
const leastWait = 250 * time.Millisecond

// again says whether a later try may help and does no harm, and how long to
// wait for it.
func (p *patient) again(req *http.Request, resp *http.Response, err error, attempt int) (time.Duration, bool) {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return 0, false
	}
	backoff := leastWait << min(attempt-1, 6)
	if err != nil {
		canceled := req.Context().Err() != nil || errors.Is(err, context.Canceled)
		return backoff, repeatable(req) && !canceled && transient(err)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests: // it was not even looked at
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if !repeatable(req) {
			return 0, false
		}
	default:
		return 0, false
	}
	if after, ok := p.retryAfter(resp.Header.Get("Retry-After")); ok {
		return max(after, leastWait), true
	}
	return backoff, true
}

// repeatable requests leave nothing behind when they are sent twice. An
// upload's body is not: a session may have kept a part of it. Repo.Ensure
// begins a new session instead.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodPost:
		return req.Body == nil || req.Body == http.NoBody
	case http.MethodPut:
		return strings.Contains(req.URL.Path, "/manifests/")
	}
	return false
}

// transient errors are broken connections. A host that does not exist or
// refuses is as good as an answer; asking it five times helps nobody.
func transient(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	text := err.Error() // net/http has no type for these
	return strings.Contains(text, "connection reset") || strings.Contains(text, "broken pipe") ||
		strings.Contains(text, "server closed idle connection") || strings.Contains(text, "GOAWAY") ||
		strings.Contains(text, "timeout")
}

// retryAfter reads seconds or a date. RFC 9110, section 10.2.3.
func (p *patient) retryAfter(value string) (time.Duration, bool) {
	if value == "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range it is the largest there is
		const longest = math.MaxInt64 / int64(time.Second)
		return time.Duration(min(max(seconds, 0), longest)) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil && p.options.Now != nil {
		return max(date.Sub(p.options.Now()), 0), true
	}
	return 0, false
}
