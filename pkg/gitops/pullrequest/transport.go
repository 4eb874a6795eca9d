package pullrequest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// transport authenticates, paces, and waits out limits, so that go-github never
// sees one: it takes some for other errors and then refuses calls for an hour.
type transport struct {
	api   *url.URL
	token func(context.Context) (string, error)
	next  http.RoundTripper
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
	log   *slog.Logger

	// GitHub's advice: no two writes at once, a second between them, 80
	// content-creating requests a minute and 500 an hour;
	// https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api.
	pace               time.Duration
	perMinute, perHour int // at most; 0 or less: no limit
	patience           time.Duration

	writing chan struct{} // holds a value while a write is under way

	mu     sync.Mutex // guards what follows
	last   time.Time  // of the last write
	writes []time.Time
	waited time.Duration
	empty  map[string]time.Time // by resource: until then the primary limit is used up
}

// resource is what GitHub counts the request under: GraphQL has a budget of its
// own.
func resource(q *http.Request) string {
	if strings.HasSuffix(q.URL.Path, "/graphql") {
		return "graphql"
	}
	return "core"
}

// attempts of one request.
const attempts = 6

// waitError says that a limit asks for more patience than there is.
type waitError struct{ text string }

func (e *waitError) Error() string { return e.text }
func (e *waitError) Unwrap() error { return fleet.ErrLimited }

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(q *http.Request) (*http.Response, error) {
	ctx := q.Context()
	if writes(q) {
		select {
		case t.writing <- struct{}{}:
			defer func() { <-t.writing }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for attempt := 1; ; attempt++ {
		if err := t.ready(ctx, q); err != nil {
			return nil, err
		}
		res, err := t.send(q, attempt)
		if err != nil {
			// A write may have had its effect.
			if writes(q) || attempt > 2 || ctx.Err() != nil || errors.Is(err, fleet.ErrDenied) || untrusted(err) {
				return nil, err
			}
			if err := t.wait(ctx, time.Duration(attempt)*time.Second, "a broken connection"); err != nil {
				return nil, err
			}
			continue
		}
		wait, limited := t.limit(res, resource(q), attempt)
		again := limited || (!writes(q) && attempt <= 2 && stumbled(res.StatusCode))
		if !again {
			strip(res.Header)
			return res, nil
		}
		drain(res)
		if attempt == attempts {
			return nil, &waitError{"GitHub keeps refusing for its rate limit: " + fleet.ErrUnavailable.Error() + ", the next run continues"}
		}
		if !limited {
			wait = time.Duration(attempt) * time.Second
		}
		if err := t.wait(ctx, wait, "GitHub's rate limit"); err != nil {
			return nil, err
		}
	}
}

func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

// onlyReads marks the context of a request that changes nothing although it is
// a POST: a GraphQL query.
type onlyReads struct{}

// writes tells requests that may change something.
func writes(q *http.Request) bool {
	return q.Method != http.MethodGet && q.Method != http.MethodHead && q.Context().Value(onlyReads{}) == nil
}

func stumbled(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// send makes one attempt. The token goes to the API's own host only, wherever a
// redirect leads.
func (t *transport) send(q *http.Request, attempt int) (*http.Response, error) {
	out := q.Clone(q.Context())
	if attempt > 1 && q.Body != nil {
		if q.GetBody == nil {
			return nil, fmt.Errorf("repeating %s %s: its body cannot be read again", q.Method, q.URL.Path)
		}
		body, err := q.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	out.Header.Del("Authorization")
	if out.URL.Scheme == t.api.Scheme && strings.EqualFold(out.URL.Host, t.api.Host) {
		token, err := t.token(q.Context())
		if err != nil {
			return nil, fmt.Errorf("getting a token: %w", err)
		}
		if token != "" {
			out.Header.Set("Authorization", "Bearer "+token)
		}
	}
	res, err := t.next.RoundTrip(out)
	if err == nil {
		t.log.DebugContext(q.Context(), "asked GitHub", "method", q.Method, "path", q.URL.Path, "status", res.StatusCode)
	}
	return res, err
}

// ready waits until the limits that we know of allow the request.
func (t *transport) ready(ctx context.Context, q *http.Request) error {
	write := writes(q)
	t.mu.Lock()
	now := t.now()
	budget, spacing := t.empty[resource(q)].Sub(now), time.Duration(0)
	if write {
		for len(t.writes) > 0 && now.Sub(t.writes[0]) >= time.Hour {
			t.writes = t.writes[1:]
		}
		budget = max(budget, t.full(now, t.perMinute, time.Minute), t.full(now, t.perHour, time.Hour))
		if !t.last.IsZero() {
			spacing = t.pace - now.Sub(t.last)
		}
	}
	t.mu.Unlock()
	if budget > 0 {
		if err := t.wait(ctx, budget, "the limit of requests to GitHub"); err != nil {
			return err
		}
	} else if spacing > 0 {
		if err := t.sleep(ctx, spacing); err != nil {
			return err
		}
	}
	if write {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.last = t.now()
		t.writes = append(t.writes, t.last)
	}
	return nil
}

// full is how long until one more write fits into the window.
func (t *transport) full(now time.Time, limit int, window time.Duration) time.Duration {
	if limit <= 0 || len(t.writes) < limit {
		return 0
	}
	return window - now.Sub(t.writes[len(t.writes)-limit])
}

// wait sleeps, within what the run may wait in total.
func (t *transport) wait(ctx context.Context, d time.Duration, why string) error {
	t.mu.Lock()
	if t.waited+d > t.patience {
		t.mu.Unlock()
		return &waitError{fmt.Sprintf("%s asks to wait %s, more than this run may: %s, the next run continues", why, d.Round(time.Second), fleet.ErrUnavailable)}
	}
	t.waited += d
	t.mu.Unlock()
	t.log.InfoContext(ctx, "waiting for GitHub", "reason", why, "seconds", int(d.Seconds()))
	return t.sleep(ctx, d)
}

// limit tells whether GitHub refused for a limit, and how long to wait then.
// Such a request did not run, so it may be sent again whatever its method. A
// limit says so by 429, or by 403 with Retry-After, an empty budget, or its
// words: the secondary limit's documentation_url is not reliable.
func (t *transport) limit(res *http.Response, of string, attempt int) (time.Duration, bool) {
	now := t.now()
	remaining, reset := res.Header.Get("X-Ratelimit-Remaining"), unixTime(res.Header.Get("X-Ratelimit-Reset"))
	spent := remaining == "0" && reset.After(now)
	if spent {
		t.mu.Lock()
		if t.empty == nil {
			t.empty = map[string]time.Time{}
		}
		t.empty[of] = reset.Add(time.Second)
		t.mu.Unlock()
	}
	switch res.StatusCode {
	case http.StatusTooManyRequests:
	case http.StatusForbidden:
		if res.Header.Get("Retry-After") == "" && remaining != "0" && !mentionsLimit(res) {
			return 0, false
		}
	default:
		return 0, false
	}
	jitter := time.Duration(rand.Int64N(int64(time.Second))) //nolint:gosec // not a secret
	if after := retryAfter(res.Header.Get("Retry-After"), now); after > 0 {
		return after + jitter, true
	}
	if spent {
		return reset.Sub(now) + jitter, true
	}
	return time.Minute<<(attempt-1) + 10*jitter, true
}

// mentionsLimit looks into the body and leaves it readable.
func mentionsLimit(res *http.Response) bool {
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	rest := res.Body
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(raw), rest), rest}
	text := strings.ToLower(string(raw))
	return err == nil && (strings.Contains(text, "rate limit") || strings.Contains(text, "abuse detection"))
}

func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return max(time.Duration(seconds)*time.Second, time.Millisecond)
	}
	if when, err := http.ParseTime(value); err == nil {
		return max(when.Sub(now), time.Millisecond)
	}
	return 0
}

func unixTime(value string) time.Time {
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// strip hides the limits from go-github, which would refuse calls by itself.
func strip(header http.Header) {
	for _, name := range []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Used", "X-Ratelimit-Reset", "Retry-After"} {
		header.Del(name)
	}
}

func drain(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, 1<<16) // so that the connection can be used again
	_ = res.Body.Close()
}
