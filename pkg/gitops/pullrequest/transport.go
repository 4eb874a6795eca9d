package pullrequest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// GitHub's secondary limits for requests that create content.
//
// https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
const (
	perMinute = 80
	perHour   = 500
)

// maxTries is how often one request is sent at most.
const maxTries = 6

// transport is beneath the API client, so that the client never sees a limit:
// it sets the credentials for the API's host only, sends mutations one at a
// time and paced, and waits where GitHub asks to.
type transport struct {
	next     http.RoundTripper
	host     string
	token    func(ctx context.Context) (string, error)
	pace     time.Duration
	now      func() time.Time
	sleep    func(ctx context.Context, d time.Duration) error
	patience time.Duration

	mutation sync.Mutex // held while a mutation is under way
	mu       sync.Mutex // guards what follows
	last     time.Time  // when the last mutation was sent
	sent     []time.Time
	waited   time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	mutation := req.Method != http.MethodGet && req.Method != http.MethodHead
	if mutation {
		t.mutation.Lock()
		defer t.mutation.Unlock()
	}
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		if mutation {
			if err := t.turn(ctx); err != nil {
				return nil, err
			}
		}
		resp, err := t.send(req, body)
		if err != nil {
			// A read is repeated; a mutation may have happened.
			if mutation || try >= 3 || ctx.Err() != nil {
				return nil, err
			}
			if err := t.wait(ctx, backoff(try), "the connection broke"); err != nil {
				return nil, err
			}
			continue
		}
		delay, why := t.retryIn(resp, mutation, try)
		if why == "" || try >= maxTries {
			return resp, nil
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection can be used again
		_ = resp.Body.Close()
		if err := t.wait(ctx, delay, why); err != nil {
			return nil, err
		}
	}
}

func bodyOf(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(req.Body)
	if cerr := req.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("reading a request: %w", err)
	}
	return body, nil
}

func (t *transport) send(req *http.Request, body []byte) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.Header.Del("Authorization")
	if body != nil {
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.ContentLength = int64(len(body))
	}
	if out.URL.Host == t.host {
		token, err := t.token(req.Context())
		if err != nil {
			return nil, err
		}
		out.Header.Set("Authorization", "Bearer "+token)
	}
	return t.next.RoundTrip(out)
}

// turn waits until a mutation may be sent: at least pace after the last one,
// and within the budgets of the last minute and hour.
func (t *transport) turn(ctx context.Context) error {
	for {
		t.mu.Lock()
		now := t.now()
		for len(t.sent) > 0 && now.Sub(t.sent[0]) >= time.Hour {
			t.sent = t.sent[1:]
		}
		until := t.last.Add(t.pace)
		why := ""
		if n := len(t.sent); n >= perHour {
			until, why = t.sent[n-perHour].Add(time.Hour), "500 changes in an hour are the limit"
		} else if n >= perMinute && now.Sub(t.sent[n-perMinute]) < time.Minute {
			until, why = t.sent[n-perMinute].Add(time.Minute), "80 changes in a minute are the limit"
		}
		if !now.Before(until) {
			t.last = now
			t.sent = append(t.sent, now)
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock()
		if why == "" {
			// The pace is ours and no wait for a limit.
			if err := t.sleep(ctx, until.Sub(now)); err != nil {
				return err
			}
			continue
		}
		if err := t.wait(ctx, until.Sub(now), why); err != nil {
			return err
		}
	}
}

// wait sleeps within the patience of the run.
func (t *transport) wait(ctx context.Context, d time.Duration, why string) error {
	t.mu.Lock()
	spent := t.waited + d
	if spent <= t.patience {
		t.waited = spent
	}
	t.mu.Unlock()
	if spent > t.patience {
		return fmt.Errorf("waiting for GitHub: %s, for %s more: %w: the next run continues", why, d.Round(time.Second), fleet.ErrUnavailable)
	}
	return t.sleep(ctx, d)
}

// retryIn says how long to wait before the request may be sent again, and why;
// an empty reason means that the answer stands. A mutation is repeated only
// where it certainly did not happen.
func (t *transport) retryIn(resp *http.Response, mutation bool, try int) (time.Duration, string) {
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return t.limited(resp, try), "GitHub limits our requests"
	case http.StatusForbidden:
		if !limit(resp) {
			return 0, ""
		}
		return t.limited(resp, try), "GitHub limits our requests"
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if mutation || try >= 4 {
			return 0, ""
		}
		return backoff(try), "GitHub answers " + resp.Status
	}
	return 0, ""
}

// limit reports whether a 403 is a rate limit, primary or secondary, and no
// missing right.
func limit(resp *http.Response) bool {
	if resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-RateLimit-Remaining") == "0" {
		return true
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	rest := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	return err == nil && (bytes.Contains(body, []byte("rate limit")) || bytes.Contains(body, []byte("abuse detection")))
}

// limited is the wait that a limit asks for: Retry-After, else the reset if
// nothing remains, else a minute and longer.
func (t *transport) limited(resp *http.Response, try int) time.Duration {
	if after := resp.Header.Get("Retry-After"); after != "" {
		if seconds, err := strconv.Atoi(strings.TrimSpace(after)); err == nil && seconds >= 0 {
			return time.Duration(seconds)*time.Second + jitter(time.Second)
		}
		if at, err := http.ParseTime(after); err == nil {
			return max(at.Sub(t.now()), 0) + jitter(time.Second)
		}
	}
	if resp.Header.Get("X-RateLimit-Remaining") == "0" {
		if reset, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return max(time.Unix(reset, 0).Sub(t.now()), 0) + jitter(2*time.Second)
		}
	}
	return time.Minute<<(try-1) + jitter(5*time.Second)
}

func backoff(try int) time.Duration {
	return time.Second<<(try-1) + jitter(500*time.Millisecond)
}

// jitter keeps runs of several repositories apart.
func jitter(limit time.Duration) time.Duration {
	return time.Duration(rand.Int64N(int64(limit))) //nolint:gosec // no secret depends on it
}
