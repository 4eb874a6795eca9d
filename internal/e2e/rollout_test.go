//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/controlplane"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// Kinds that real controllers roll out.
var rolledOut = []string{"Deployment", "StatefulSet", "DaemonSet"}

func TestOnAControlPlaneGoodRolloutsAreVerified(t *testing.T) {
	t.Parallel()
	for _, kind := range rolledOut {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLive(t, controlPlane(t), kind, nil)
			l.start(oldGeneration)
			l.apply(newGeneration)
			l.until(time.Minute, fleet.VerdictSoaking, "")
			v := l.until(time.Minute, fleet.VerdictVerified, "")
			if soak := v.SoakUntil.Sub(v.Started); soak < 15*time.Second || v.At.Before(v.SoakUntil) || !v.GatePassed {
				t.Errorf("verified too early: %+v", v)
			}
			l.neverFailed()
		})
	}
	t.Run("Recreate", func(t *testing.T) {
		t.Parallel()
		l := newLive(t, controlPlane(t), "Deployment", nil)
		g, h := oldGeneration, newGeneration
		g.spec, h.spec = "strategy: {type: Recreate}", "strategy: {type: Recreate}"
		l.start(g)
		l.apply(h)
		l.until(time.Minute, fleet.VerdictVerified, "")
		l.neverFailed()
	})
}

func TestOnAControlPlaneFailuresNameTheirCause(t *testing.T) {
	t.Parallel()
	for _, kind := range rolledOut {
		t.Run("a crash of a "+kind, func(t *testing.T) {
			t.Parallel()
			l := newLive(t, controlPlane(t), kind, nil)
			l.start(oldGeneration)
			l.apply(newGeneration.with(controlplane.Fate{Kind: controlplane.Crash, ExitCode: 3}))
			v := l.until(time.Minute, fleet.VerdictFailed, "CrashLoopBackOff")
			if v.Row != 12 || !strings.Contains(v.Message, "exit code 3") {
				t.Errorf("verdict = %+v", v)
			}
			l.evidence(fleet.Evidence{Container: "cart", Reason: "CrashLoopBackOff", ExitCode: 3}, "BackOff: ")
		})
	}
	for _, test := range []struct {
		name     string
		fate     controlplane.Fate
		spec     string
		row      int
		reason   string
		evidence fleet.Evidence
		events   []string
		gated    bool // the gate has passed before
	}{
		{
			name: "an image that cannot be pulled", fate: controlplane.Fate{Kind: controlplane.ImagePull},
			row: 11, reason: "ImagePullBackOff", evidence: fleet.Evidence{Container: "cart", Reason: "ImagePullBackOff"}, events: []string{"Failed: Failed to pull image"},
		},
		{
			name: "out of memory", fate: controlplane.Fate{Kind: controlplane.Crash, Reason: "OOMKilled", ExitCode: 137},
			row: 12, reason: "OOMKilled", evidence: fleet.Evidence{Container: "cart", Reason: "OOMKilled", ExitCode: 137},
		},
		{
			name: "a late crash within the gate", fate: controlplane.Fate{Kind: controlplane.LateCrash, Delay: 2 * time.Second},
			row: 12, reason: "CrashLoopBackOff", evidence: fleet.Evidence{Container: "cart", Reason: "CrashLoopBackOff", ExitCode: 1},
		},
		{
			name: "a late crash after the gate", fate: controlplane.Fate{Kind: controlplane.LateCrash, Delay: 11 * time.Second},
			row: 12, reason: "CrashLoopBackOff", evidence: fleet.Evidence{Container: "cart", Reason: "CrashLoopBackOff", ExitCode: 1}, gated: true,
		},
		{
			name: "never ready", fate: controlplane.Fate{Kind: controlplane.NotReady}, spec: "progressDeadlineSeconds: 10",
			row: 15, reason: rollout.ReasonNotReady, evidence: fleet.Evidence{Container: "cart", Reason: "NotReady"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLive(t, controlPlane(t), "Deployment", nil)
			g, h := oldGeneration, newGeneration.with(test.fate)
			g.spec, h.spec = test.spec, test.spec
			l.start(g)
			l.apply(h)
			if v := l.until(time.Minute, fleet.VerdictFailed, test.reason); v.Row != test.row {
				t.Errorf("verdict = %+v, want row %d", v, test.row)
			}
			if l.gated != test.gated {
				t.Errorf("gate passed before: %v, want %v", l.gated, test.gated)
			}
			l.evidence(test.evidence, test.events...)
		})
	}
	t.Run("a StatefulSet that is never ready", func(t *testing.T) {
		t.Parallel()
		l := newLive(t, controlPlane(t), "StatefulSet", nil)
		l.start(oldGeneration)
		l.apply(newGeneration.with(controlplane.Fate{Kind: controlplane.NotReady}))
		l.until(time.Minute, fleet.VerdictFailed, rollout.ReasonNotReady)
		l.evidence(fleet.Evidence{Container: "cart", Reason: "NotReady"})
	})
}
