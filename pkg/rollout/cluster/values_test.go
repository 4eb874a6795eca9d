package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

func TestTidyRedactsWhatLooksLikeASecret(t *testing.T) {
	tests := map[string]struct{ line, want string }{
		"a password":                  {"spring.datasource.password=hunter2 user=app", "spring.datasource.password=*** user=app"},
		"a quoted password in JSON":   {`{"password": "a b", "user": "x"}`, `{"password": ***, "user": "x"}`},
		"an environment variable":     {"DB_PASSWORD=x", "DB_PASSWORD=***"},
		"a bearer header":             {"Authorization: Bearer abcdef123456", "Authorization: Bearer ***"},
		"a URL with credentials":      {"connecting to amqp://app:s3cret@mq:5672/v", "connecting to amqp://app:***@mq:5672/v"},
		"a forge's token":             {"using ghp_" + strings.Repeat("a", 36), "using ***"},
		"a JWT":                       {"got eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "got ***"},
		"SkyWalking's authentication": {"-Dskywalking.agent.authentication=abc -jar x", "-Dskywalking.agent.authentication=*** -jar x"},
		"a control character":         {"a\x1b[31mb", "a[31mb"},
		"an ordinary line":            {"java.lang.NoClassDefFoundError: org/apache/skywalking/Tracer", "java.lang.NoClassDefFoundError: org/apache/skywalking/Tracer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tidy([]string{test.line})[0]; got != test.want {
				t.Errorf("tidy(%q) = %q, want %q", test.line, got, test.want)
			}
		})
	}
}

func TestTidyKeepsTheLastLinesAndCutsLongOnes(t *testing.T) {
	lines := make([]string, 100)
	for i := range lines {
		lines[i] = strings.Repeat("é", i*10)
	}
	got := tidy(lines)
	if len(got) != 40 || got[39] != strings.Repeat("é", 400)+"…" {
		t.Errorf("tidy() = %d lines, last %d bytes", len(got), len(got[len(got)-1]))
	}
	key := tidy([]string{"-----BEGIN RSA PRIVATE KEY-----", "MIIB", "-----END RSA PRIVATE KEY-----", "after"})
	if diff := cmp.Diff([]string{"***", "***", "***", "after"}, key); diff != "" {
		t.Error(diff)
	}
}

func TestLiveValuesFollowPaths(t *testing.T) {
	object := map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/name": "cart"}},
		"spec": map[string]any{"replicas": int64(2), "containers": []any{
			map[string]any{"name": "cart", "args": []any{"a", "b"}, "tty": true, "env": []any{map[string]any{"name": "E"}}},
		}},
	}
	fields := []string{
		`metadata.labels["app.kubernetes.io/name"]`, "spec.replicas", "spec.containers[name=cart].args[1]", "spec.containers[name=cart].tty",
		"spec.containers[name=cart].env[name=E]", "spec.containers[name=cart].env[name=E].value", "spec.containers[name=other].image", "spec.containers[name=cart].args[7]", "spec.replicas.more",
	}
	got, err := liveValues(object, fields)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{fields[0]: "cart", fields[1]: "2", fields[2]: "b", fields[3]: "true", fields[4]: rollout.LiveCollection}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := liveValues(object, []string{"a[[b"}); err == nil {
		t.Error("a path that cannot be read gave no error")
	}
}

func TestRepositoriesAreComparedByHostAndPath(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"https://git.example.com/acme/d.git", "https://git.example.com/acme/d", true},
		{"git@git.example.com:acme/d.git", "https://GIT.example.com/acme/d/", true},
		{"ssh://git@git.example.com:22/acme/d.git", "git@git.example.com:acme/d", true},
		{"https://git.example.com/acme/d", "https://git.example.com/acme/other", false},
		{"http://127.0.0.1:80/acme/d", "http://127.0.0.1:81/acme/d", false},
	}
	for _, test := range tests {
		if got := sameRepository(test.a, test.b); got != test.want {
			t.Errorf("sameRepository(%s, %s) = %v", test.a, test.b, got)
		}
	}
}

func TestSyncReadsWhatArgoCDWrites(t *testing.T) {
	c := &Client{options: Options{RepositoryURL: "https://git.example.com/acme/d"}}
	read := func(spec, status map[string]any) *application {
		a := &application{}
		if err := decode(map[string]any{"metadata": map[string]any{"name": "shop"}, "spec": spec, "status": status}, a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	chart := map[string]any{"repoURL": "https://charts.example.com", "chart": "x"}
	values := map[string]any{"repoURL": "https://git.example.com/acme/d", "ref": "values"}
	ours := map[string]any{"repoURL": "git@git.example.com:acme/d.git", "path": "apps"}
	tests := map[string]struct {
		spec, status map[string]any
		want         []string
		mismatch     bool
	}{
		"one source":                      {map[string]any{"source": ours}, map[string]any{"sync": map[string]any{"revision": "r"}}, []string{"r"}, false},
		"sources by index, without chart": {map[string]any{"sources": []any{chart, values, ours}}, map[string]any{"sync": map[string]any{"revisions": []any{"1.0", "v", "r"}}}, []string{"r"}, false},
		"another repository":              {map[string]any{"source": map[string]any{"repoURL": "https://git.example.com/acme/else"}}, map[string]any{"sync": map[string]any{"revision": "r"}}, nil, true},
		"a hydrator shows its dry commit": {
			map[string]any{"sourceHydrator": map[string]any{"drySource": ours}},
			map[string]any{"sync": map[string]any{"revision": "wet"}, "sourceHydrator": map[string]any{"lastSuccessfulOperation": map[string]any{"drySHA": "dry"}}},
			[]string{"dry"},
			false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := c.sync(read(test.spec, test.status), rolloutID(), "shop")
			if diff := cmp.Diff(test.want, s.Revisions); diff != "" || s.SourceMismatch != test.mismatch {
				t.Errorf("mismatch %v, revisions %s", s.SourceMismatch, diff)
			}
		})
	}
	failing := read(map[string]any{"source": ours}, map[string]any{"operationState": map[string]any{
		"phase": "Running", "retryCount": 2, "message": "one or more objects failed to apply",
		"syncResult": map[string]any{"revision": "r", "resources": []any{
			map[string]any{"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "cart", "status": "SyncFailed"},
			map[string]any{"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "other", "status": "Synced"},
		}},
	}})
	if s := c.sync(failing, rolloutID(), "shop"); !s.FailedObject || s.FailedOther || s.RetryCount != 2 || s.Phase != "Running" || len(s.Operation) != 1 {
		t.Errorf("sync = %+v", s)
	}
}

func rolloutID() fleet.ID { return fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"} }
