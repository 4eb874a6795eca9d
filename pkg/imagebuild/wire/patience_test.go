package wire

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// answers is a server without a network.
type answers func(req *http.Request) *http.Response

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) { return a(req), nil }

func answer(status int, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func get(ctx context.Context, t *testing.T, c *Client, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Transport().RoundTrip(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	closeBody(resp)
	return resp.StatusCode
}

func TestABusyHostGetsNoRequestUntilItsTimeIsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		var busy []time.Duration
		c := New(Options{Transport: answers(func(req *http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			if req.URL.Host != "busy.example" {
				return answer(http.StatusOK)
			}
			busy = append(busy, time.Since(begin))
			if len(busy) == 1 {
				return answer(http.StatusTooManyRequests, "Retry-After", "30")
			}
			return answer(http.StatusOK)
		})})
		var group errgroup.Group
		ask := func(url string) {
			group.Go(func() error {
				if got := get(t.Context(), t, c, url); got != http.StatusOK {
					t.Errorf("%s: %d", url, got)
				}
				return nil
			})
		}
		ask("https://busy.example/v2/")
		synctest.Wait()
		for range 50 {
			ask("https://busy.example/v2/")
		}
		if got := get(t.Context(), t, c, "https://idle.example/v2/"); got != http.StatusOK || time.Since(begin) != 0 {
			t.Errorf("another host answers %d after %s", got, time.Since(begin))
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if len(busy) != 52 || busy[1] < 30*time.Second || busy[51] > 32*time.Second {
			t.Errorf("asked %d times: at %v, %v … %v; want 52 times, all but the first 30 s later", len(busy), busy[0], busy[1], busy[len(busy)-1])
		}
	})
}

func TestARequestThatIsGivenUpFreesItsHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		asked := 0
		c := New(Options{Transport: answers(func(*http.Request) *http.Response {
			if asked++; asked == 1 {
				return answer(http.StatusTooManyRequests, "Retry-After", "30")
			}
			return answer(http.StatusOK)
		})})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var group errgroup.Group
		group.Go(func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://busy.example/v2/", http.NoBody)
			if err != nil {
				return err
			}
			if resp, err := c.Transport().RoundTrip(req); err == nil {
				closeBody(resp)
				t.Error("it was answered")
			}
			return nil
		})
		synctest.Wait()
		if got := get(t.Context(), t, c, "https://busy.example/v2/"); got != http.StatusOK || time.Since(begin) != time.Second {
			t.Errorf("the next request gets %d after %s", got, time.Since(begin))
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestALimitedHostServesAllInItsOwnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const requests, aSecond = 400, 10
		begin := time.Now()
		var mu sync.Mutex
		var second time.Duration
		served, refused, left := 0, 0, aSecond
		c := New(Options{Transport: answers(func(*http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Since(begin).Truncate(time.Second); now != second {
				second, left = now, aSecond
			}
			if left == 0 {
				refused++
				return answer(http.StatusTooManyRequests, "Retry-After", "1")
			}
			left--
			served++
			return answer(http.StatusOK)
		})})
		var group errgroup.Group
		group.SetLimit(32)
		for range requests {
			group.Go(func() error {
				if got := get(t.Context(), t, c, "https://limited.example/v2/"); got != http.StatusOK {
					t.Errorf("answer %d", got)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		t.Logf("%d served and %d refused in %s", served, refused, took)
		if served != requests || took > 3*requests/aSecond*time.Second || refused > 3*requests {
			t.Errorf("%d served and %d refused in %s", served, refused, took)
		}
	})
}

func TestAHostThatStaysBusyEndsWithTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := New(Options{Transport: answers(func(*http.Request) *http.Response { return answer(http.StatusTooManyRequests, "Retry-After", "20") })})
		if got := get(t.Context(), t, c, "https://busy.example/v2/"); got != http.StatusTooManyRequests {
			t.Errorf("answer %d", got)
		}
		if took := time.Since(begin); took < time.Minute || took > 70*time.Second {
			t.Errorf("it took %s, want the budget of a minute", took)
		}
	})
}

func TestWhatAServerSaysOfWaiting(t *testing.T) {
	t.Parallel()
	past := time.Date(1999, time.January, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	for _, row := range []struct {
		after string
		most  int // attempts
	}{
		{"0", 250},
		{"-5", 250},
		{past, 250},
		{"never", 30},
		{"", 30},
		{"61", 1},
		{"9223372037", 1},
		{"18446744074", 1},
		{"99999999999999999999999", 1},
	} {
		t.Run(row.after, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin, asked := time.Now(), 0
				c := New(Options{Now: time.Now, Transport: answers(func(*http.Request) *http.Response {
					asked++
					return answer(http.StatusTooManyRequests, "Retry-After", row.after)
				})})
				if got := get(t.Context(), t, c, "https://busy.example/v2/"); got != http.StatusTooManyRequests {
					t.Errorf("answer %d", got)
				}
				if took := time.Since(begin); asked > row.most || asked == 0 || took > 2*time.Minute {
					t.Errorf("asked %d times in %s, want at most %d times and about a minute", asked, took, row.most)
				}
			})
		})
	}
}

func TestTheLongestWaitHoldsAHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		waits, later := []string{"1", "20", "3"}, []time.Duration(nil)
		first := make(chan struct{})
		c := New(Options{Transport: answers(func(*http.Request) *http.Response {
			mu.Lock()
			if len(waits) > 0 {
				after := waits[0]
				if waits = waits[1:]; len(waits) == 0 {
					close(first)
				}
				mu.Unlock()
				<-first // all are on their way before one is answered
				return answer(http.StatusTooManyRequests, "Retry-After", after)
			}
			defer mu.Unlock()
			later = append(later, time.Since(begin))
			return answer(http.StatusOK)
		})})
		var group errgroup.Group
		for range 3 {
			group.Go(func() error {
				if got := get(t.Context(), t, c, "https://busy.example/v2/"); got != http.StatusOK {
					t.Errorf("answer %d", got)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, at := range later {
			if at < 20*time.Second {
				t.Errorf("asked again at %v, want nothing before 20 s", later)
				break
			}
		}
	})
}
