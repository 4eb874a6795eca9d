package pullrequest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops/pullrequest"
)

// everything writes once whatever this package can write.
func everything(ctx context.Context, c *pullrequest.Client) error {
	s := spec("otelshift/1")
	s.Reviewers, s.Assignees = []string{"bob"}, []string{"ada"}
	p, err := c.Open(ctx, s)
	if err != nil {
		return err
	}
	if err := c.Comment(ctx, p.Number, "Rollout", "fine"); err != nil {
		return err
	}
	if err := c.Label(ctx, p.Number, []string{fleet.LabelVerified}, []string{fleet.LabelBatch}); err != nil {
		return err
	}
	title := "done"
	if err := c.Edit(ctx, p.Number, fleet.PullRequestEdit{Title: &title, Body: &title}); err != nil {
		return err
	}
	_, err = c.UpsertIssue(ctx, "otelshift", func(string) string { return "body" })
	return err
}

func TestARunThatDiesAnywhereIsCompletedByTheNext(t *testing.T) {
	run := func(t *testing.T, killAt int) (pulls []forge.Pull, effects int) {
		f := start(t, nil)
		branch(t, f, "otelshift/1")
		connectFor := func() *pullrequest.Client {
			c, _ := connect(t, f, func(o *pullrequest.Options) {
				o.Pace = 0
				o.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
			})
			return c
		}
		ctx, die := context.WithCancel(t.Context())
		defer die()
		f.OnEffect(func(forge.Effect) {
			if effects++; effects == killAt {
				die()
			}
		})
		err := everything(ctx, connectFor())
		if killAt == 0 && err != nil { // a killed run may still have seen its last answer
			t.Fatal(err)
		}
		f.OnEffect(nil)
		if err := everything(t.Context(), connectFor()); err != nil {
			t.Fatal(err)
		}
		return f.Pulls(), effects
	}
	want, effects := run(t, 0)
	if effects < 8 || len(want) != 2 {
		t.Fatalf("%d effects, %d pull requests and issues", effects, len(want))
	}
	for n := 1; n <= effects; n++ {
		t.Run(fmt.Sprintf("after effect %d of %d", n, effects), func(t *testing.T) {
			got, _ := run(t, n)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("final state (-undisturbed +killed):\n%s", diff)
			}
		})
	}
}
