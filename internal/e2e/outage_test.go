//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/otelshift/otelshift/internal/controlplane"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout/cluster"
)

// unknown asserts that nothing is known, and why; and that the runs which come
// after go on from there.
func (l *live) unknown(says string) {
	l.t.Helper()
	if v := l.judge(); v.State != fleet.VerdictUnknown || v.Row != 1 || !strings.Contains(v.Message, says) {
		l.t.Errorf("verdict = %+v, want unknown that says %q", v, says)
	}
}

func TestOnAControlPlaneWhatCannotBeReadIsUnknown(t *testing.T) {
	t.Parallel()
	crashing := func(t *testing.T) *live {
		l := newLive(t, controlPlane(t), "Deployment", nil)
		l.start(oldGeneration)
		l.apply(newGeneration.with(controlplane.Fate{Kind: controlplane.Crash}))
		return l
	}
	t.Run("a namespace without the rights", func(t *testing.T) {
		t.Parallel()
		l := crashing(t)
		bindings := l.plane.Typed.RbacV1().RoleBindings(l.namespace)
		if err := bindings.Delete(t.Context(), "otelshift-observe", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := controlplane.Until(t.Context(), time.Minute, "the right is gone", forbidden(l)); err != nil {
			t.Fatal(err)
		}
		l.unknown("grant the rights of examples/rbac.yaml")
		l.neverFailed()
		if err := l.plane.Grant(t.Context(), shippedRights(t, false), l.namespace); err != nil {
			t.Fatal(err)
		}
		if err := controlplane.Until(t.Context(), time.Minute, "the right is back", allowed(l)); err != nil {
			t.Fatal(err)
		}
		l.until(time.Minute, fleet.VerdictFailed, "CrashLoopBackOff")
	})
	t.Run("a token that is no longer valid", func(t *testing.T) {
		t.Parallel()
		l := crashing(t)
		good := l.client
		l.mustApply(fmt.Sprintf(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: gone, namespace: %s}}`, l.namespace))
		token, err := l.plane.Token(t.Context(), l.namespace, "gone")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.plane.Typed.CoreV1().ServiceAccounts(l.namespace).Delete(t.Context(), "gone", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		l.client = l.connect(token, cluster.Options{})
		if err := controlplane.Until(t.Context(), time.Minute, "the token is refused", says(l, "Unauthorized")); err != nil {
			t.Fatal(err)
		}
		l.unknown("renew them in the kubeconfig")
		l.neverFailed()
		l.client = good
		l.until(time.Minute, fleet.VerdictFailed, "CrashLoopBackOff")
	})
	t.Run("lists that take too long", func(t *testing.T) {
		t.Parallel()
		l := crashing(t)
		slow := &atomic.Bool{}
		proxy := between(t, l.plane.Config, func(r *http.Request) {
			if slow.Load() && strings.HasSuffix(r.URL.Path, "/pods") {
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Second):
				}
			}
		})
		token, err := l.plane.Token(t.Context(), "otelshift", "otelshift")
		if err != nil {
			t.Fatal(err)
		}
		l.client = l.connect(token, cluster.Options{Kubeconfig: proxy(token), Timeout: 5 * time.Second})
		slow.Store(true)
		l.unknown("did not answer in time")
		l.neverFailed()
		slow.Store(false)
		l.until(time.Minute, fleet.VerdictFailed, "CrashLoopBackOff")
	})
}

func forbidden(l *live) func(context.Context) (bool, error) { return says(l, "forbidden") }

func says(l *live, part string) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return strings.Contains(l.look().Err, part), nil }
}

func allowed(l *live) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return l.look().Err == "", nil }
}

// between starts a proxy in front of the API server that does something with
// each request first, and returns what makes a kubeconfig for it.
func between(t *testing.T, config *rest.Config, first func(r *http.Request)) func(token string) string {
	t.Helper()
	base, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	insecure := rest.CopyConfig(config)
	insecure.BearerToken = ""
	transport, err := rest.TransportFor(insecure)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) }, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first(r)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return func(token string) string {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: c}}], clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}], users: [{name: c, user: {token: %q}}]}`,
			server.URL, token)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// An API server that stops and starts again: a control plane of its own.
func TestOnAControlPlaneThatRestartsNothingIsReverted(t *testing.T) {
	t.Parallel()
	programs(t)
	plane, err := startPlane(t, t.TempDir(), 2)
	if plane != nil {
		t.Cleanup(func() {
			if err := plane.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	good, bad := newLive(t, plane, "Deployment", nil), newLive(t, plane, "Deployment", nil)
	// The clocks have to outlast the restart.
	good.e.Settings.Soak, bad.e.Settings.Soak = 25*time.Second, 5*time.Minute
	for _, l := range []*live{good, bad} {
		l.start(oldGeneration)
	}
	good.apply(newGeneration)
	bad.apply(newGeneration.with(controlplane.Fate{Kind: controlplane.LateCrash, Delay: 5 * time.Second}))
	good.until(time.Minute, fleet.VerdictSoaking, "")
	bad.until(time.Minute, fleet.VerdictSoaking, "")
	before := good.verdict
	if err := plane.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*live{good, bad} {
		l.unknown("cannot be reached")
		l.unknown("cannot be reached")
		l.neverFailed()
	}
	if v := good.verdict; !v.SoakUntil.Equal(before.SoakUntil) || !v.Started.Equal(before.Started) {
		t.Errorf("the outage moved the clocks: %+v, before %+v", v, before)
	}
	if err := plane.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := plane.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Runs that were missed cost nothing: the soak ends when it would have.
	if v := good.until(2*time.Minute, fleet.VerdictVerified, ""); !v.SoakUntil.Equal(before.SoakUntil) {
		t.Errorf("verified, and the soak had moved from %s to %s", before.SoakUntil, v.SoakUntil)
	}
	good.neverFailed()
	bad.until(2*time.Minute, fleet.VerdictFailed, "CrashLoopBackOff")
}
