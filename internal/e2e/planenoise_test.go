//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/otelshift/otelshift/internal/controlplane"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// Ten batches of ten on real controllers, with noise, of which a known tenth
// truly fail: nothing else may be reverted, and all of that has to be.
func TestOnAControlPlaneTenBatchesHaveNoFalseRevert(t *testing.T) {
	t.Parallel()
	const batches, size = 10, 10
	plane := controlPlane(t)
	random := rand.New(rand.NewPCG(20261128, 7))
	type member struct {
		name  string
		fresh generation
		noise string
		fails bool
		looks []rollout.Verdict
		last  rollout.Verdict
		e     rollout.Expectation
		b     fleet.Baseline
	}
	first := newLive(t, plane, "Deployment", nil)
	var namespaces []*live
	batch := make([][]*member, batches)
	for i := range batches {
		l := first
		if i > 0 {
			l = newLive(t, plane, "Deployment", nil)
		}
		namespaces = append(namespaces, l)
		bad := random.IntN(size)
		for k := range size {
			m := &member{name: fmt.Sprintf("app-%d", k), fresh: newGeneration, fails: k == bad}
			fate := controlplane.Fate{Container: "cart", Delay: time.Duration(2+random.IntN(9)) * time.Second}
			switch {
			case m.fails:
				fate.Kind = []controlplane.Kind{controlplane.Crash, controlplane.LateCrash, controlplane.ImagePull}[random.IntN(3)]
				m.noise = "fails by " + string(fate.Kind)
			default:
				m.noise = []string{"", "restart", "sidecar", "scale", "drain"}[random.IntN(5)]
				switch m.noise {
				case "restart":
					fate.Kind = controlplane.Once
				case "sidecar":
					fate.Kind, fate.Container = controlplane.Once, "filebeat"
				}
			}
			m.fresh.fate = fate
			if fate.Kind == "" {
				m.fresh.fate = controlplane.Fate{}
			}
			m.e = l.e
			m.e.Settings.Soak = 40 * time.Second // of 200 pods on a busy machine the last crash comes late
			batch[i] = append(batch[i], m)
		}
	}
	manifest := func(l *live, m *member, g generation) *unstructured.Unstructured {
		g.beside = "{name: filebeat, image: filebeat}"
		objects, err := controlplane.Objects([]byte(l.manifest(g)))
		if err != nil {
			t.Fatal(err)
		}
		o := objects[0]
		o.SetName(m.name)
		_ = unstructured.SetNestedField(o.Object, m.name, "spec", "selector", "matchLabels", "app")
		_ = unstructured.SetNestedField(o.Object, m.name, "spec", "template", "metadata", "labels", "app")
		return o
	}
	each := func(do func(l *live, i int, m *member) error) {
		t.Helper()
		var group errgroup.Group
		group.SetLimit(8)
		for i, l := range namespaces {
			for _, m := range batch[i] {
				group.Go(func() error { return do(l, i, m) })
			}
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	observe := func(i int) []rollout.Observation {
		var subjects []rollout.Subject
		for _, m := range batch[i] {
			subjects = append(subjects, rollout.Subject{ID: fleet.ID{Kind: "Deployment", Namespace: namespaces[i].namespace, Name: m.name}, Fields: []string{imageAt, optionsAt}})
		}
		found, err := namespaces[i].client.Observe(t.Context(), subjects)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	each(func(l *live, _ int, m *member) error {
		return plane.ApplyObject(t.Context(), "argocd-controller", manifest(l, m, oldGeneration))
	})
	for i := range batches {
		if err := controlplane.Until(t.Context(), 2*time.Minute, "the old templates run", func(context.Context) (bool, error) {
			for _, o := range observe(i) {
				if o.Err != "" || o.Missing || o.Counters.Ready < 2 {
					return false, nil
				}
			}
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
		for k, o := range observe(i) {
			batch[i][k].b, batch[i][k].e.Merged = rollout.BaselineOf(o, []string{"filebeat"}), time.Now()
		}
	}
	each(func(l *live, _ int, m *member) error {
		return plane.ApplyObject(t.Context(), "argocd-controller", manifest(l, m, m.fresh))
	})
	// Runs look at every batch in turn; scaling and draining happen meanwhile.
	started, troubled := time.Now(), false
	settled := func() bool {
		for i := range batch {
			for _, m := range batch[i] {
				if !m.last.Settled() {
					return false
				}
			}
		}
		return true
	}
	for time.Since(started) < 3*time.Minute && !settled() {
		for i := range batch {
			for k, o := range observe(i) {
				m := batch[i][k]
				if m.last.Settled() {
					continue
				}
				got := rollout.Judge(o, m.e, &m.b, time.Now())
				m.last = rollout.Confirm(got, m.looks, 2)
				m.looks = append(m.looks, got)
				previous := m.last
				m.e.Previous = &previous
				if m.noise == "drain" && m.last.State == fleet.VerdictSoaking {
					namespaces[i].seen = o
					namespaces[i].evict()
					m.noise = "drained"
				}
			}
		}
		if !troubled && time.Since(started) > 8*time.Second {
			troubled = true
			each(func(l *live, _ int, m *member) error {
				if m.noise != "scale" {
					return nil
				}
				return plane.Scale(t.Context(), l.resource(), l.namespace, m.name, 4)
			})
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	found, missed, wrong, verified := 0, 0, 0, 0
	for i := range batch {
		for _, m := range batch[i] {
			failed := m.last.State == fleet.VerdictFailed
			switch {
			case failed && m.fails:
				found++
			case failed:
				wrong++
				t.Errorf("false revert of %s in batch %d (%s): %+v", m.name, i, m.noise, m.last)
			case m.fails:
				missed++
				t.Errorf("missed failure of %s in batch %d (%s): %+v", m.name, i, m.noise, m.last)
			case m.last.State == fleet.VerdictVerified:
				verified++
			}
		}
	}
	t.Logf("%d batches, %d workloads: %d failures found, %d missed, %d false; precision %.3f, recall %.3f; %d verified", batches, batches*size,
		found, missed, wrong, float64(found)/float64(max(found+wrong, 1)), float64(found)/float64(max(found+missed, 1)), verified)
	if verified < batches*size/2 {
		t.Errorf("only %d verified: the batches tell too little", verified)
	}
}
