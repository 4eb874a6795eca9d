package imagebuild_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestKeysInAnotherCase are edited as they are spelt: readers in Go take them
// for the same, and the last of two.
func TestKeysInAnotherCase(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		config  map[string]any
		top     map[string]any
		bare    bool // of what the sandbox writes by itself
		refused string
	}{
		{name: "entrypoint", config: map[string]any{"entrypoint": []string{"/old"}}},
		{name: "env and labels", config: map[string]any{"env": []string{"A=1"}, "labels": map[string]string{"x": "y"}}, bare: true},
		{name: "two of one", config: map[string]any{"cmd": []string{"other"}}, refused: `"Cmd" "cmd"`},
		{name: "two histories", top: map[string]any{"History": []any{}}, refused: `"History" "history"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{})
			spec := tomcat()
			spec.Config, spec.Top = row.config, row.top
			if row.bare {
				spec.Env = nil
			}
			seed(t, r, "shop/cart:1.4", spec)
			request := rebuild(r, "shop/cart:1.4")
			request.Env = map[string]string{"B": "2"}
			built, err := newBuilder(t).Build(t.Context(), request)
			var refused *fleet.RefusedError
			if row.refused != "" {
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), row.refused) {
					t.Errorf("Build: %v, want a refusal with %s", err, row.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			img := image(t, built.To)
			config, err := img.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"/bin/sh", "/home/admin/start.sh"}, config.Config.Entrypoint); diff != "" {
				t.Errorf("entrypoint (-want +got):\n%s", diff)
			}
			if env := strings.Join(config.Config.Env, " "); !strings.HasSuffix(env, "B=2") || row.bare && !strings.HasPrefix(env, "A=1") {
				t.Errorf("env %s", env)
			}
			raw, err := img.RawConfigFile()
			for key := range row.config {
				if n := strings.Count(strings.ToLower(string(raw)), `"`+key+`":`); n != 1 || err != nil {
					t.Errorf("%d keys that mean %s, %v, in %s", n, key, err, raw)
				}
			}
		})
	}
}
