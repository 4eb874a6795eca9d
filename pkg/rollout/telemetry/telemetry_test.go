package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

const query = `sum(traces_spanmetrics_calls_total{service_name="{{.Service}}"})`

// prometheus starts the real one, which scrapes what an OpenTelemetry Collector
// with the spanmetrics connector exposes, and returns its URL once it has.
func prometheus(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("needs prometheus: prometheus is not installed")
	}
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, `# TYPE traces_spanmetrics_calls_total counter
traces_spanmetrics_calls_total{service_name="cart"} 7
traces_spanmetrics_calls_total{service_name="idle"} 0
traces_spanmetrics_calls_total{service_name="od\"d\\name"} 1
`)
	}))
	t.Cleanup(collector.Close)
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs: [{job_name: collector, static_configs: [{targets: [%q]}]}]\n",
		strings.TrimPrefix(collector.URL, "http://"))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	c := client(t, "http://"+address, `scrape_samples_scraped`, "")
	for deadline := time.Now().Add(time.Minute); ; {
		if got, err := c.Received(t.Context(), "", fleet.ID{}); err == nil && got {
			return "http://" + address
		}
		if time.Now().After(deadline) {
			cancel()
			_ = cmd.Wait()
			t.Fatalf("prometheus does not answer:\n%s", said.String())
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func client(t *testing.T, url, query, token string) *Client {
	t.Helper()
	c, err := New(Options{URL: url, Query: query, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPrometheusKnowsWhoSends(t *testing.T) {
	url := prometheus(t)
	for _, test := range []struct {
		name, query, service string
		want                 bool
	}{
		{"a service that sends", query, "cart", true},
		{"a service that nobody has seen", query, "order", false},
		{"a series that stands at zero", query, "idle", false},
		{"a name with quotes and backslashes", query, `od"d\name`, true},
		{"a name that tries to widen the query", query, `x"} or vector(1) or x{a="`, false},
		{"a range", `traces_spanmetrics_calls_total{service_name="{{.Service}}"}[1m]`, "cart", true},
		{"a scalar", `scalar(` + query + `)`, "cart", true},
		{"a scalar of nothing", `scalar(` + query + `)`, "order", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := client(t, url, test.query, "").Received(t.Context(), test.service, fleet.ID{Namespace: "shop", Name: "cart"})
			if err != nil || got != test.want {
				t.Errorf("Received() = %v, %v, want %v", got, err, test.want)
			}
		})
	}
	if _, err := client(t, url, `sum(`, "").Received(t.Context(), "", fleet.ID{}); err == nil || errors.Is(err, fleet.ErrUnavailable) || !strings.Contains(err.Error(), "parse error") {
		t.Errorf("a query that is no PromQL: %v", err)
	}
	if _, err := client(t, url, `"text"`, "").Received(t.Context(), "", fleet.ID{}); err == nil || !strings.Contains(err.Error(), "not samples") {
		t.Errorf("a query that gives text: %v", err)
	}
}

func TestWhatPrometheusDoesNotAnswerIsAnError(t *testing.T) {
	token := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token = r.Header.Get("Authorization")
		switch {
		case token != "Bearer right":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasPrefix(r.URL.Path, "/busy"):
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"status":"error","error":"overloaded"}`)
		default:
			_, _ = io.WriteString(w, "<html>sign in</html>")
		}
	}))
	defer server.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct {
		url, token string
		want       error
	}{
		"a refused token":             {server.URL, "wrong", fleet.ErrDenied},
		"a server that is overloaded": {server.URL + "/busy", "right", fleet.ErrUnavailable},
		"a page of a proxy":           {server.URL, "right", fleet.ErrUnavailable},
		"nobody":                      {gone.URL, "", fleet.ErrUnavailable},
	} {
		if got, err := client(t, test.url, query, test.token).Received(t.Context(), "cart", fleet.ID{}); got || !errors.Is(err, test.want) {
			t.Errorf("%s: Received() = %v, %v, want %v", name, got, err, test.want)
		}
	}
	for _, bad := range []Options{{URL: "prometheus", Query: query}, {URL: "http://p", Query: "{{.Servise}}"}, {URL: "http://p", Query: "{{"}} {
		if _, err := New(bad); err == nil {
			t.Errorf("New(%+v) has no error", bad)
		}
	}
}
