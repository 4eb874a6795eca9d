//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestARunThatMeetsALimitEndsWell: a limit that asks for more than a run may
// wait ends it with 0 and a word that the next run continues; a short one is
// waited for. Whatever was done before stays and is not done again.
func TestARunThatMeetsALimitEndsWell(t *testing.T) {
	t.Parallel()
	const (
		primary   = `{"message":"API rate limit exceeded for user ID 1."}`
		secondary = `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
	)
	header := func(pairs ...string) map[string]string {
		h := map[string]string{"Content-Type": "application/json"}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = pairs[i+1]
		}
		return h
	}
	reset := fmt.Sprint(time.Now().Add(50 * time.Minute).Unix())
	long := map[string]forge.Answer{
		"403 primary with a reset time":   {Status: 403, Body: primary, Header: header("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset)},
		"429 primary with a reset time":   {Status: 429, Body: primary, Header: header("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset)},
		"403 secondary with Retry-After":  {Status: 403, Body: secondary, Header: header("Retry-After", "3000")},
		"429 secondary with Retry-After":  {Status: 429, Body: secondary, Header: header("Retry-After", "3000")},
		"403 secondary that dates it":     {Status: 403, Body: secondary, Header: header("Retry-After", time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))},
		"GraphQL's own, with status 200":  {Status: 200, Body: `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`, Header: header("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset)},
		"a word about abuse of old times": {Status: 403, Body: `{"message":"You have triggered an abuse detection mechanism."}`, Header: header("Retry-After", "3000")},
	}
	for _, test := range []struct {
		operation string // that is limited
		pulls     int    // that are opened all the same
		answers   []string
	}{
		{"users/get-authenticated", 0, []string{"403 primary with a reset time"}},
		{"pulls/list", 0, []string{"429 primary with a reset time", "403 secondary with Retry-After", "429 secondary with Retry-After", "403 secondary that dates it", "a word about abuse of old times"}},
		{"pulls/create", 0, []string{"403 secondary with Retry-After", "429 secondary with Retry-After"}},
		{"issues/add-labels", 1, []string{"403 primary with a reset time", "429 secondary with Retry-After"}},
		{"issues/create", 1, []string{"403 secondary with Retry-After"}}, // the control issue
	} {
		for _, name := range test.answers {
			t.Run(test.operation+", "+name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, shop(good), sandbox.Options{})
				r.Forge.Inject(func(q forge.Request) (forge.Answer, bool) { return long[name], q.Operation == test.operation })
				res := r.otelshift(t, "run").must(t, 0)
				if !strings.Contains(res.stderr, "the next run continues") || strings.Contains(res.stderr, "otelshift: error") {
					t.Errorf("stderr does not say that the next run continues:\n%s", res.stderr)
				}
				if n := len(r.pulls()); n != test.pulls {
					t.Errorf("%d pull requests, want %d", n, test.pulls)
				}
				r.Forge.Inject(nil)
				r.otelshift(t, "run").must(t, 0)
				batches := r.withLabel(fleet.LabelBatch)
				if len(r.pulls()) != 1 || len(batches) != 1 {
					t.Errorf("the next run leaves %d pull requests, %d with their labels, want the canary", len(r.pulls()), len(batches))
				}
			})
		}
	}
	t.Run("GraphQL's own, with status 200", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, shop(good), sandbox.Options{})
		if err := r.Forge.Remember(forge.Past{
			Login: sandbox.Bot, Branch: "otelshift/batch-0", Title: "long ago", Head: r.Forge.Head(t.Context(), "main"),
			Created: time.Now().Add(-10_000 * time.Hour), Ended: time.Now().Add(-9_000 * time.Hour),
		}); err != nil {
			t.Fatal(err)
		}
		r.Forge.Inject(func(q forge.Request) (forge.Answer, bool) {
			return long["GraphQL's own, with status 200"], q.Operation == "graphql"
		})
		if res := r.otelshift(t, "run").must(t, 0); !strings.Contains(res.stderr, "the next run continues") {
			t.Errorf("stderr does not say that the next run continues:\n%s", res.stderr)
		}
	})
	t.Run("a short one is waited for", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, shop(good), sandbox.Options{})
		var refused atomic.Int64
		r.Forge.Inject(func(q forge.Request) (forge.Answer, bool) {
			short := forge.Answer{Status: 403, Body: secondary, Header: header("Retry-After", "1")}
			return short, q.Operation == "pulls/create" && refused.Add(1) == 1
		})
		res := r.otelshift(t, "run").must(t, 0)
		if len(r.pulls()) != 1 || strings.Contains(res.stderr, "the next run continues") || refused.Load() != 2 {
			t.Errorf("%d pull requests after %d tries, want one after two\n%s", len(r.pulls()), refused.Load(), res.stderr)
		}
	})
}
