package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/manifest"
)

const swFlag = "-javaagent:/skywalking/agent/skywalking-agent.jar -Dskywalking.agent.service_name=app"

// app is a Deployment with one container whose JAVA_OPTS is opts.
func app(name, opts string, edits ...func(*fleet.Workload)) fleet.Workload {
	file := "apps/" + name + ".yaml"
	at := fleet.Place{File: file, Line: 10, Column: 3}
	field := "spec.template.spec.containers[name=app]"
	value := fleet.Value{Text: opts, Field: field + ".env[name=JAVA_OPTS].value", Place: at}
	w := fleet.Workload{
		ID: fleet.ID{Kind: "Deployment", Namespace: "shop", Name: name}, Place: fleet.Place{File: file, Line: 1}, Item: -1, Replicas: 1,
		Labels: map[string]string{"appName": name},
		Containers: []fleet.Container{{
			Name: "app", Field: field, Place: at,
			Image: fleet.Value{Text: "registry.example/" + name + ":1.0", Field: field + ".image", Place: at},
			Env:   []fleet.Env{{Name: "JAVA_OPTS", Field: field + ".env[name=JAVA_OPTS]", Place: at, Value: value}},
		}},
	}
	for _, flag := range javaagent.Agents(opts, javaagent.DialectShell) {
		w.Loads = append(w.Loads, fleet.Load{Container: "app", Agent: flag.Kind, Via: fleet.ViaEnv, Name: "JAVA_OPTS", Place: at, Field: value.Field, Jar: flag.Jar, Value: value})
	}
	for _, edit := range edits {
		edit(&w)
	}
	return w
}

var payload = fleet.Payload{Version: "2.20.0", Digest: "sha256:" + strings.Repeat("ab", 32)}

func input(c config.Config, workloads ...fleet.Workload) Input {
	return Input{Config: c, Scan: manifest.Result{Workloads: workloads, Others: 3}, Payload: payload}
}

// migrated is what the plan makes of the app's options.
func migrated(t *testing.T, name string) string {
	t.Helper()
	p := Make(input(settings(), app(name, swFlag)))
	for _, c := range p.Workloads[0].Changes {
		if strings.HasSuffix(c.Field, "[name=JAVA_OPTS].value") {
			return c.New
		}
	}
	t.Fatalf("no change: %+v", p.Workloads[0])
	return ""
}

func injectedBySWCK() fleet.Load {
	const label = "swck-java-agent-injected"
	return fleet.Load{
		Agent: javaagent.SkyWalking, Via: fleet.ViaSWCK, Name: label, Value: fleet.Value{Text: "true", Field: "spec.template.metadata.labels." + label},
	}
}

func image(ref string) func(*fleet.Workload) {
	return func(w *fleet.Workload) { w.Containers[0].Image.Text = ref }
}

func TestActions(t *testing.T) {
	const digest = "@sha256:0000000000000000000000000000000000000000000000000000000000000001"
	none := func(*config.Spec) {}
	tests := []struct {
		name   string
		w      fleet.Workload
		config func(*config.Spec)
		in     func(*Input)
		action fleet.Action
		code   fleet.Code
	}{
		{name: "SkyWalking in a variable migrates", w: app("cart", swFlag), action: fleet.ActionMigrate},
		{name: "a kind that is not listed is skipped", w: app("cart", swFlag, func(w *fleet.Workload) { w.ID.Kind = "CronJob" }), action: fleet.ActionSkip, code: fleet.CodeUnsupportedKind},
		{name: "a namespace that is not listed is skipped", w: app("cart", swFlag), config: func(s *config.Spec) { s.Workloads.Namespaces = []string{"other"} }, action: fleet.ActionSkip, code: fleet.CodeNotSelected},
		{
			name: "labels that do not match are skipped", w: app("cart", swFlag), action: fleet.ActionSkip, code: fleet.CodeNotSelected,
			config: func(s *config.Spec) {
				s.Workloads.Selector = config.Selector{MatchLabels: map[string]string{"team": "x"}}
			},
		},
		{name: "no replicas are skipped", w: app("cart", swFlag, func(w *fleet.Workload) { w.Replicas = 0 }), action: fleet.ActionSkip, code: fleet.CodeReplicasZero},
		{name: "unknown replicas are not", w: app("cart", swFlag, func(w *fleet.Workload) { w.Replicas = -1 }), action: fleet.ActionMigrate},
		{name: "a missing sidecar is skipped", w: app("cart", swFlag), config: func(s *config.Spec) { s.Workloads.RequireSidecar = "istio-proxy" }, action: fleet.ActionSkip, code: fleet.CodeSidecarMissing},
		{
			name: "an injected sidecar is enough", action: fleet.ActionMigrate, config: func(s *config.Spec) { s.Workloads.RequireSidecar = "istio-proxy" },
			w: app("cart", swFlag, func(w *fleet.Workload) { w.NamespaceLabels = map[string]string{"istio-injection": "enabled"} }),
		},
		{
			name: "unless the pod declines it", action: fleet.ActionSkip, code: fleet.CodeSidecarMissing, config: func(s *config.Spec) { s.Workloads.RequireSidecar = "istio-proxy" },
			w: app("cart", swFlag, func(w *fleet.Workload) {
				w.NamespaceLabels = map[string]string{"istio-injection": "enabled"}
				w.PodLabels = map[string]string{"sidecar.istio.io/inject": "false"}
			}),
		},
		{name: "a container that is ignored is left alone", w: app("cart", swFlag), config: func(s *config.Spec) { s.Workloads.IgnoreContainers = []string{"a*"} }, action: fleet.ActionSkip, code: fleet.CodeNotSelected},
		{name: "a container glob chooses", w: app("cart", swFlag), config: func(s *config.Spec) { s.Workloads.Container = "ap?" }, action: fleet.ActionMigrate},
		{
			name: "a form that forbids changes blocks", action: fleet.ActionBlocked, code: fleet.CodePlaceholder,
			w: app("cart", swFlag, func(w *fleet.Workload) { w.Blocked = &fleet.Reason{Code: fleet.CodePlaceholder, Message: "x"} }),
		},
		{
			name: "options from a Secret block", action: fleet.ActionBlocked, code: fleet.CodeSecret,
			w: app("cart", swFlag, func(w *fleet.Workload) { w.Loads[0].Value = fleet.Value{} }),
		},
		{
			name: "signs beside options from a Secret block", action: fleet.ActionBlocked, code: fleet.CodeSecret,
			w: app("cart", "-Xmx1g", func(w *fleet.Workload) {
				w.Containers[0].Env[0].Value = fleet.Value{}
				w.Containers[0].Env[0].From = &fleet.EnvSource{Kind: "secretKeyRef", Name: "opts", Key: "java"}
				w.Signs = []fleet.Load{{Container: "app", Agent: javaagent.SkyWalking, Via: fleet.ViaEnv, Name: "SW_AGENT_NAME"}}
			}),
		},
		{
			name: "signs alone are unread", action: fleet.ActionUnread, code: fleet.CodeImageUnread,
			w: app("cart", "-Xmx1g", func(w *fleet.Workload) {
				w.Signs = []fleet.Load{{Container: "app", Agent: javaagent.SkyWalking, Via: fleet.ViaEnv, Name: "SW_AGENT_NAME"}}
			}),
		},
		{
			name: "an image that loads SkyWalking by its environment migrates", action: fleet.ActionMigrate,
			w: app("cart", "-Xmx1g", func(w *fleet.Workload) {
				w.Signs = []fleet.Load{{Container: "app", Agent: javaagent.SkyWalking, Via: fleet.ViaEnv, Name: "SW_AGENT_NAME"}}
			}),
			in: func(in *Input) {
				in.Inspected = map[string]fleet.ImageInfo{"registry.example/cart:1.0": {Loads: []fleet.ImageLoad{{
					Agent: javaagent.SkyWalking, Where: "Env JAVA_TOOL_OPTIONS", Value: swFlag, Jar: "/skywalking/agent/skywalking-agent.jar",
				}}}}
			},
		},
		{
			name: "an image that loads SkyWalking in a script blocks", action: fleet.ActionBlocked, code: fleet.CodeScript,
			w: app("cart", "-Xmx1g", func(w *fleet.Workload) {
				w.Signs = []fleet.Load{{Container: "app", Agent: javaagent.SkyWalking, Via: fleet.ViaEnv, Name: "SW_AGENT_NAME"}}
			}),
			in: func(in *Input) {
				in.Inspected = map[string]fleet.ImageInfo{"registry.example/cart:1.0": {Loads: []fleet.ImageLoad{{
					Agent: javaagent.SkyWalking, Where: "/start.sh:3", Jar: "/skywalking/agent/skywalking-agent.jar",
				}}}}
			},
		},
		{name: "an image that is not decided blocks", w: app("cart", swFlag, func(w *fleet.Workload) { w.Containers[0].Image = fleet.Value{} }), action: fleet.ActionBlocked, code: fleet.CodeImageUnknown},
		{
			name: "a live image that differs blocks", w: app("cart", swFlag), action: fleet.ActionBlocked, code: fleet.CodeImageDrift,
			in: func(in *Input) {
				in.Live = map[fleet.ID]map[string]string{{Kind: "Deployment", Namespace: "shop", Name: "cart"}: {"app": "registry.example/cart:0.9"}}
			},
		},
		{
			name: "a live image that is git's does not", w: app("cart", swFlag, image("library/cart")), action: fleet.ActionMigrate,
			in: func(in *Input) {
				in.Live = map[fleet.ID]map[string]string{{Kind: "Deployment", Namespace: "shop", Name: "cart"}: {"app": "docker.io/library/cart:latest"}}
			},
		},
		{
			name: "an image that is not in the registry blocks", w: app("cart", swFlag), action: fleet.ActionBlocked, code: fleet.CodeImageMissing,
			in: func(in *Input) {
				in.Failed = map[string]error{rebuildKey(): fmt.Errorf("pulling: %w", fleet.ErrNotFound)}
			},
		},
		{
			name: "an image that is refused blocks with its reason", w: app("cart", swFlag), action: fleet.ActionBlocked, code: fleet.CodeImageRefused,
			in: func(in *Input) {
				in.Failed = map[string]error{rebuildKey(): &fleet.RefusedError{Reason: fleet.Reason{Code: fleet.CodeImageRefused, Message: "schema 1"}}}
			},
		},
		{
			name: "an image that failed blocks", w: app("cart", swFlag), action: fleet.ActionBlocked, code: fleet.CodeImageFailed,
			in: func(in *Input) {
				in.Failed = map[string]error{rebuildKey(): errors.New("EOF")}
			},
		},
		{
			name: "edits that were refused block", w: app("cart", swFlag), action: fleet.ActionBlocked, code: fleet.CodeEditRefused,
			in: func(in *Input) {
				in.Refused = map[fleet.ID]fleet.Reason{{Kind: "Deployment", Namespace: "shop", Name: "cart"}: {Code: fleet.CodeEditRefused, Message: "x"}}
			},
		},
		{name: "a lost option blocks", w: app("cart", swFlag+" -Dskywalking.agent.span_limit_per_segment=7"), action: fleet.ActionBlocked, code: fleet.CodeLostOption},
		{name: "unless its loss is accepted", w: app("cart", swFlag+" -Dskywalking.agent.span_limit_per_segment=7"), config: func(s *config.Spec) { s.Options.AllowLost = []string{"agent.span_limit_per_segment"} }, action: fleet.ActionMigrate},
		{name: "both agents block", w: app("cart", swFlag+" -javaagent:/x/opentelemetry-javaagent.jar"), action: fleet.ActionBlocked, code: fleet.CodeMixedAgents},
		{
			name: "an agent that SWCK injects migrates", action: fleet.ActionMigrate,
			w: app("cart", "", func(w *fleet.Workload) {
				w.Loads = []fleet.Load{injectedBySWCK()}
				w.Pod.Entries = []fleet.PodEntry{{Label: true, Key: "swck-java-agent-injected", Value: w.Loads[0].Value}}
			}),
		},
		{
			name: "SWCK's label that cannot be taken away blocks", action: fleet.ActionBlocked, code: fleet.CodeUnsupportedForm,
			w: app("cart", "", func(w *fleet.Workload) { w.Loads = []fleet.Load{injectedBySWCK()} }),
		},
		{
			name: "pods that ask the OpenTelemetry operator too are blocked", action: fleet.ActionBlocked, code: fleet.CodeMixedAgents,
			w: app("cart", swFlag, func(w *fleet.Workload) {
				w.PodAnnotations = map[string]string{"instrumentation.opentelemetry.io/inject-java": "true"}
			}),
		},
		{
			name: "so are pods of a namespace that asks", action: fleet.ActionBlocked, code: fleet.CodeMixedAgents,
			w: app("cart", swFlag, func(w *fleet.Workload) {
				w.NamespaceAnnotations = map[string]string{"instrumentation.opentelemetry.io/inject-java": "shop/java"}
			}),
		},
		{
			name: "unless the pods decline", action: fleet.ActionMigrate,
			w: app("cart", swFlag, func(w *fleet.Workload) {
				w.NamespaceAnnotations = map[string]string{"instrumentation.opentelemetry.io/inject-java": "true"}
				w.PodAnnotations = map[string]string{"instrumentation.opentelemetry.io/inject-java": "false"}
			}),
		},
		{name: "ours with our image is at the target", w: app("cart", migrated(t, "cart"), image("registry.example/cart:1.0-otel-ababab123456"+digest)), action: fleet.ActionNone},
		{name: "ours with a business image is rebuilt", w: app("cart", migrated(t, "cart")), action: fleet.ActionRebuild},
		{name: "ours with an older payload is upgraded", w: app("cart", migrated(t, "cart"), image("registry.example/cart:1.0-otel-cdcdcd123456"+digest)), action: fleet.ActionUpgrade},
		{
			name: "ours with other options is upgraded", action: fleet.ActionUpgrade,
			w:      app("cart", migrated(t, "cart"), image("registry.example/cart:1.0-otel-ababab123456"+digest)),
			config: func(s *config.Spec) { s.Options.Endpoint = "http://other:4318" },
		},
		{name: "somebody else's OpenTelemetry agent is left alone", w: app("cart", "-javaagent:/theirs/opentelemetry-javaagent.jar"), action: fleet.ActionSkip, code: fleet.CodeNotSelected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			edit := tt.config
			if edit == nil {
				edit = none
			}
			in := input(settings(edit), tt.w)
			if tt.in != nil {
				tt.in(&in)
			}
			p := Make(in)
			if len(p.Workloads) != 1 {
				t.Fatalf("%d workloads, want 1", len(p.Workloads))
			}
			got := p.Workloads[0]
			var code fleet.Code
			if got.Reason != nil {
				code = got.Reason.Code
			}
			if got.Action != tt.action || code != tt.code {
				t.Errorf("action %s %s, want %s %s (%+v)", got.Action, code, tt.action, tt.code, got.Reason)
			}
			if got.Action.Changes() != (len(got.Changes) > 0) || got.Action.Changes() != (len(p.Batches) == 1) {
				t.Errorf("%s with %d changes and %d batches", got.Action, len(got.Changes), len(p.Batches))
			}
			if diff := cmp.Diff(p, Make(in)); diff != "" {
				t.Errorf("Make differs from run to run: %s", diff)
			}
		})
	}
}

func rebuildKey() string {
	return fleet.Rebuild{From: "registry.example/cart:1.0", Remove: []string{"/skywalking/agent"}}.Key()
}

func TestImageIsPinned(t *testing.T) {
	in := input(settings(), app("cart", swFlag))
	const digest = "sha256:00000000000000000000000000000000000000000000000000000000000000aa"
	built := map[string]fleet.Built{rebuildKey(): {To: "registry.example/cart:1.0-otel-ababab000000", Digest: digest}}
	p := Bind(in, built)
	if got, want := p.Workloads[0].Containers[0].Image.To, "registry.example/cart:1.0-otel-ababab000000@"+digest; got != want {
		t.Errorf("image %q, want %q", got, want)
	}
	in.Config.Spec.Image.Pin = "tag"
	p = Bind(in, built)
	if got, want := p.Workloads[0].Containers[0].Image.To, "registry.example/cart:1.0-otel-ababab000000"; got != want {
		t.Errorf("image %q, want %q", got, want)
	}
	if got := Wanted(Make(in), 1); len(got) != 1 || got[0].Key() != rebuildKey() {
		t.Errorf("Wanted = %+v", got)
	}
}

// fromConfigMap adds a flag that a ConfigMap brings by envFrom.
func fromConfigMap(w *fleet.Workload) {
	at := &fleet.Origin{Place: fleet.Place{File: "apps/config.yaml", Line: 7, Column: 9}, Item: -1, Field: "data.CATALINA_OPTS", Users: []fleet.ID{w.ID}}
	w.Loads = append(w.Loads, fleet.Load{
		Container: "app", Agent: javaagent.SkyWalking, Via: fleet.ViaConfigMap, Name: "CATALINA_OPTS", Jar: "/skywalking/agent/skywalking-agent.jar",
		Place: at.Place, Field: "data.CATALINA_OPTS", Value: fleet.Value{Text: swFlag, Field: "data.CATALINA_OPTS", Place: at.Place, At: at},
	})
	w.Containers[0].EnvFrom = []fleet.EnvFrom{{Kind: "configMapRef", Name: "app"}}
}

func TestFlagInConfigMap(t *testing.T) {
	w := Make(input(settings(), app("cart", "-Xmx1g", fromConfigMap))).Workloads[0]
	if w.Action != fleet.ActionMigrate {
		t.Fatalf("%s %+v", w.Action, w.Reason)
	}
	if c := w.Changes[0]; c.File != "apps/config.yaml" || c.Field != "data.CATALINA_OPTS" || !strings.Contains(c.New, "opentelemetry-javaagent.jar") {
		t.Errorf("change %+v", c)
	}
	for _, e := range w.Effects {
		if !strings.HasPrefix(e.Field, "spec.") {
			t.Errorf("effect %+v is on no field of the workload", e)
		}
	}
	w = Make(input(settings(), app("cart", swFlag, fromConfigMap))).Workloads[0]
	if w.Action != fleet.ActionBlocked {
		t.Errorf("two flags in one container: %s, and one of them would stay", w.Action)
	}
}

func TestServiceNames(t *testing.T) {
	warned := func(workloads ...fleet.Workload) int {
		n := 0
		for _, w := range Make(input(settings(), workloads...)).Workloads {
			for _, warning := range w.Warnings {
				if warning.Code == fleet.CodeServiceName {
					n++
				}
			}
		}
		return n
	}
	if n := warned(app("order-v1", swFlag), app("order-v2", swFlag), app("order-v1-gray", swFlag)); n != 0 {
		t.Errorf("%d warnings about versions of one app", n)
	}
	if n := warned(app("order", swFlag), app("registry", swFlag)); n != 2 {
		t.Errorf("%d warnings about two apps of one name, want 2", n)
	}
}

// fleetOf is n apps a00, a01, …
func fleetOf(n int, edits ...func(*fleet.Workload)) []fleet.Workload {
	var list []fleet.Workload
	for i := range n {
		list = append(list, app(fmt.Sprintf("a%02d", i), swFlag, edits...))
	}
	return list
}

func shape(p fleet.Plan) []int {
	var sizes []int
	for _, b := range p.Batches {
		sizes = append(sizes, len(b.Workloads))
	}
	return sizes
}

func TestBatches(t *testing.T) {
	t.Run("the canary comes first, then ten at a time", func(t *testing.T) {
		p := Make(input(settings(), fleetOf(24)...))
		if diff := cmp.Diff([]int{1, 10, 10, 3}, shape(p)); diff != "" {
			t.Error(diff)
		}
		if p.Batches[0].Number != 1 || p.Batches[3].Number != 4 || p.Summary.Batches != 4 || p.Summary.Workloads != 27 {
			t.Errorf("batches %+v, summary %+v", p.Batches, p.Summary)
		}
	})
	t.Run("owners are together, and apart on request", func(t *testing.T) {
		in := input(settings(), fleetOf(12)...)
		in.Owners = []byte("# teams\n* @base\n/apps/a0[0-9].yaml @x\na03.yaml @red\n/apps/a05.yaml @red\n/apps/a07.yaml\n")
		p := Make(in)
		if w, _ := p.Workload(fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "a05"}); w.Owner != "@red" {
			t.Errorf("owner %q, want @red", w.Owner)
		}
		in.Config.Spec.Batch.GroupBy = []string{"wave", "owner"}
		for _, b := range Make(in).Batches {
			seen := map[string]bool{}
			for _, id := range b.Workloads {
				parsed, _ := fleet.ParseID(id)
				w, _ := p.Workload(parsed)
				seen[w.Owner] = true
			}
			if len(seen) != 1 {
				t.Errorf("batch %d has owners %v", b.Number, seen)
			}
		}
	})
	t.Run("a later wave is held until the earlier is done", func(t *testing.T) {
		c := settings(func(s *config.Spec) {
			s.Batch.Waves = []config.Wave{{Name: "staging", Include: []string{"apps/a01*"}}, {Name: "prod", Include: []string{"**"}}}
		})
		p := Make(input(c, fleetOf(3)...))
		if len(p.Batches) != 2 || p.Batches[0].Wave != "staging" || p.Batches[0].Held != "" || p.Batches[1].Held == "" {
			t.Errorf("batches %+v", p.Batches)
		}
		if next := Next(p, 5); len(next) != 1 {
			t.Errorf("Next = %+v, want staging only", next)
		}
	})
	t.Run("rebuilds come before migrations and need no canary", func(t *testing.T) {
		list := fleetOf(3)
		for i := range 3 {
			list = append(list, app(fmt.Sprintf("r%d", i), migrated(t, fmt.Sprintf("r%d", i))))
		}
		p := Make(input(settings(), list...))
		if diff := cmp.Diff([]int{3, 1, 2}, shape(p)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("adding an app does not change other keys", func(t *testing.T) {
		first := Make(input(settings(), fleetOf(11)...))
		second := Make(input(settings(), append(fleetOf(11), app("zz", swFlag))...))
		if first.Batches[1].Key != second.Batches[1].Key || first.Batches[0].Key != second.Batches[0].Key {
			t.Error("keys moved")
		}
	})
}

// sharing makes the workloads' image come from one kustomization.
func sharing(users ...string) func(*fleet.Workload) {
	return func(w *fleet.Workload) {
		at := &fleet.Origin{Place: fleet.Place{File: "base/opts.yaml", Line: 3}, Item: -1, Field: "data.OPTS"}
		for _, u := range users {
			at.Users = append(at.Users, fleet.ID{Kind: "Deployment", Namespace: "shop", Name: u})
		}
		w.Containers[0].Env[0].Value.At = at
		w.Loads[0].Value.At = at
	}
}

func TestShared(t *testing.T) {
	t.Run("what shares a place goes together", func(t *testing.T) {
		share := sharing("a00", "a01", "a02")
		p := Make(input(settings(), fleetOf(3, share)...))
		if diff := cmp.Diff([]int{3}, shape(p)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a place shared with one that is skipped blocks all of it", func(t *testing.T) {
		list := fleetOf(3, sharing("a00", "a01", "a02"))
		list[1].Replicas = 0
		p := Make(input(settings(), list...))
		for _, i := range []int{0, 2} {
			if w := p.Workloads[i]; w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeShared {
				t.Errorf("%s: %s %+v, want blocked shared", w.ID, w.Action, w.Reason)
			}
		}
	})
	t.Run("unless it is allowed", func(t *testing.T) {
		list := fleetOf(3, sharing("a00", "a01", "a02"))
		list[1].Replicas = 0
		p := Make(input(settings(func(s *config.Spec) { s.Batch.AllowShared = []string{"base/**"} }), list...))
		if p.Summary.Migrate != 2 || p.Summary.Skip != 1 {
			t.Errorf("summary %+v", p.Summary)
		}
	})
	t.Run("more than maxSize blocks with the root", func(t *testing.T) {
		p := Make(input(settings(func(s *config.Spec) { s.Batch.MaxSize = 2 }), fleetOf(3, sharing("a00", "a01", "a02"))...))
		if p.Summary.Blocked != 3 || !strings.Contains(p.Workloads[0].Reason.Message, "base/opts.yaml") {
			t.Errorf("summary %+v, reason %+v", p.Summary, p.Workloads[0].Reason)
		}
	})
	t.Run("different values in one place block", func(t *testing.T) {
		list := fleetOf(2, sharing("a00", "a01"))
		p := Make(input(settings(func(s *config.Spec) {
			s.Options.Overrides = []config.Override{{Match: config.Match{Name: "a01"}, Add: []string{"-Dotel.x=y"}}}
		}), list...))
		if p.Summary.Blocked != 2 {
			t.Errorf("summary %+v", p.Summary)
		}
	})
}

func TestPeopleDecide(t *testing.T) {
	c := settings()
	target := TargetHash(c, payload)
	record := func(edits ...func(*fleet.Record)) fleet.Record {
		r := fleet.Record{
			Schema: ledger.Schema, Kind: fleet.RecordBatch, Key: "k1", Number: 1, Target: target,
			Workloads: []fleet.RecordWorkload{{ID: "shop/Deployment/cart", Action: fleet.ActionMigrate}},
		}
		for _, edit := range edits {
			edit(&r)
		}
		return r
	}
	pull := func(state fleet.PullRequestState, r fleet.Record) fleet.PullRequest {
		return fleet.PullRequest{Number: 5, State: state, Author: "me", FromBase: true, Branch: ledger.Branch("otelshift/", r), Body: ledger.Encode(r)}
	}
	verified := func(r *fleet.Record) { r.Workloads[0].Verdict = &fleet.Verdict{State: fleet.VerdictVerified} }
	retry := func(r *fleet.Record) { *r = ledger.Answer(*r, fleet.LabelRetry, fleet.PullRequestClosed) }
	tests := []struct {
		name    string
		pull    fleet.PullRequest
		action  fleet.Action
		code    fleet.Code
		batches int
	}{
		{"an open pull request keeps its workload out of new batches", pull(fleet.PullRequestOpen, record()), fleet.ActionMigrate, "", 0},
		{"a closed one declines", pull(fleet.PullRequestClosed, record()), fleet.ActionBlocked, fleet.CodeDeclined, 0},
		{"retry lifts it", pull(fleet.PullRequestClosed, record(retry)), fleet.ActionMigrate, "", 1},
		{"what a person changed back stays", pull(fleet.PullRequestMerged, record(verified)), fleet.ActionBlocked, fleet.CodeDeclined, 0},
		{"until a retry", pull(fleet.PullRequestMerged, record(verified, retry)), fleet.ActionMigrate, "", 1},
		{"another target is new work", pull(fleet.PullRequestClosed, record(func(r *fleet.Record) { r.Target = "other" })), fleet.ActionMigrate, "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := ledger.Fold(ledger.Input{PullRequests: []fleet.PullRequest{tt.pull}, Identity: "me", BranchPrefix: "otelshift/", TargetHash: target, Now: time.Unix(0, 0)})
			in := input(c, app("cart", swFlag))
			in.Ledger = &l
			p := Make(in)
			var code fleet.Code
			if r := p.Workloads[0].Reason; r != nil {
				code = r.Code
			}
			if p.Workloads[0].Action != tt.action || code != tt.code || len(p.Batches) != tt.batches {
				t.Errorf("%s %s in %d batches, want %s %s in %d", p.Workloads[0].Action, code, len(p.Batches), tt.action, tt.code, tt.batches)
			}
			if tt.batches == 1 && tt.pull.State != fleet.PullRequestClosed {
				if p.Batches[0].Key == "k1" || p.Batches[0].Number != 2 {
					t.Errorf("batch %+v", p.Batches[0])
				}
			}
		})
	}
	t.Run("a business release without the agent is rebuilt whatever was verified", func(t *testing.T) {
		l := ledger.Fold(ledger.Input{PullRequests: []fleet.PullRequest{pull(fleet.PullRequestMerged, record(verified))}, Identity: "me", BranchPrefix: "otelshift/", TargetHash: target})
		in := input(c, app("cart", migrated(t, "cart"), image("registry.example/cart:1.1")))
		in.Ledger = &l
		if p := Make(in); p.Workloads[0].Action != fleet.ActionRebuild || len(p.Batches) != 1 || p.Batches[0].Number != 2 {
			t.Errorf("%s in %+v", p.Workloads[0].Action, p.Batches)
		}
	})
	t.Run("what the cluster could not be asked about waits for the next run", func(t *testing.T) {
		in := input(c, app("cart", swFlag), app("order", swFlag))
		in.Refused = map[fleet.ID]fleet.Reason{{Kind: "Deployment", Namespace: "shop", Name: "cart"}: {Code: fleet.CodeUnobserved, Message: "timeout"}}
		p := Make(in)
		if p.Workloads[0].Action != fleet.ActionMigrate || len(p.Batches) != 1 || p.Batches[0].Workloads[0] != "shop/Deployment/order" {
			t.Errorf("%s in %+v", p.Workloads[0].Action, p.Batches)
		}
	})
	t.Run("a retry has a key of its own", func(t *testing.T) {
		fresh := Make(input(c, app("cart", swFlag))).Batches[0].Key
		l := ledger.Fold(ledger.Input{
			PullRequests: []fleet.PullRequest{pull(fleet.PullRequestClosed, record(retry, func(r *fleet.Record) { r.Key = fresh }))},
			Identity:     "me", BranchPrefix: "otelshift/", TargetHash: target,
		})
		in := input(c, app("cart", swFlag))
		in.Ledger = &l
		if again := Make(in).Batches[0].Key; again == fresh {
			t.Error("the retry would reuse the declined key")
		}
	})
}

func TestTargetHash(t *testing.T) {
	base := TargetHash(settings(), payload)
	differs := map[string]func(*config.Spec){
		"endpoint":  func(s *config.Spec) { s.Options.Endpoint = "http://x:4318" },
		"add":       func(s *config.Spec) { s.Options.Add = nil },
		"overrides": func(s *config.Spec) { s.Options.Overrides = []config.Override{{Add: []string{"-Dx=y"}}} },
		"delivery":  func(s *config.Spec) { s.Delivery = "image" },
		"removal":   func(s *config.Spec) { s.Image.Remove = config.Remove{Paths: []string{"/x"}} },
	}
	for _, name := range fleet.SortedKeys(differs) {
		if TargetHash(settings(differs[name]), payload) == base {
			t.Errorf("%s does not enter the target hash", name)
		}
	}
	same := map[string]func(*config.Spec){
		"batch size": func(s *config.Spec) { s.Batch.Size = 3 },
		"allowLost":  func(s *config.Spec) { s.Options.AllowLost = []string{"x"} },
	}
	for _, name := range fleet.SortedKeys(same) {
		if TargetHash(settings(same[name]), payload) != base {
			t.Errorf("%s enters the target hash", name)
		}
	}
	if TargetHash(settings(), fleet.Payload{Digest: "sha256:cd"}) == base {
		t.Error("the payload does not enter the target hash")
	}
}

func TestUnreadAsksOnlyWhatIsAllowed(t *testing.T) {
	w := app("cart", "-Xmx1g", func(w *fleet.Workload) {
		w.Signs = []fleet.Load{{Container: "app", Agent: javaagent.SkyWalking, Via: fleet.ViaEnv, Name: "SW_AGENT_NAME"}}
	})
	ask := func(edit func(*Input)) []string {
		in := input(settings(), w)
		edit(&in)
		return Unread(in, Make(in))
	}
	const ref = "registry.example/cart:1.0"
	for name, tt := range map[string]struct {
		edit func(*Input)
		want []string
	}{
		"signs":          {func(*Input) {}, []string{ref}},
		"offline":        {func(in *Input) { in.Offline = true }, nil},
		"none":           {func(in *Input) { in.Config.Spec.Image.Inspect = "none" }, nil},
		"asked already":  {func(in *Input) { in.Inspected = map[string]fleet.ImageInfo{ref: {}} }, nil},
		"failed already": {func(in *Input) { in.Failed = map[string]error{ref: errors.New("EOF")} }, nil},
	} {
		if got := ask(tt.edit); !slices.Equal(got, tt.want) {
			t.Errorf("%s: Unread = %v, want %v", name, got, tt.want)
		}
	}
}

func TestDeclarationsOfOneWorkload(t *testing.T) {
	elsewhere := func(file string, edits ...func(*fleet.Workload)) fleet.Workload {
		return app("cart", swFlag, append([]func(*fleet.Workload){func(w *fleet.Workload) {
			w.Place.File = file
			c := &w.Containers[0]
			c.Place.File, c.Image.Place.File, c.Env[0].Place.File, c.Env[0].Value.Place.File = file, file, file, file
			w.Loads[0].Value.Place.File = file
		}}, edits...)...)
	}
	t.Run("change together", func(t *testing.T) {
		p := Make(input(settings(), app("cart", swFlag), elsewhere("all.yaml")))
		if len(p.Workloads) != 1 || p.Summary.Migrate != 1 || len(p.Workloads[0].Rebuilds) != 1 {
			t.Fatalf("plan %+v", p.Summary)
		}
		files := map[string]bool{}
		for _, c := range p.Workloads[0].Changes {
			files[c.File] = true
		}
		if len(files) != 2 {
			t.Errorf("files %v, want both", files)
		}
	})
	t.Run("keep only the effects that they share", func(t *testing.T) {
		p := Make(input(settings(), app("cart", swFlag), elsewhere("all.yaml", func(w *fleet.Workload) {
			w.Containers[0].Env[0].Value.Text += " -Xmx2g"
			w.Loads[0].Value.Text += " -Xmx2g"
		})))
		if p.Summary.Migrate != 1 {
			t.Fatalf("plan %+v", p.Workloads)
		}
		for _, e := range p.Workloads[0].Effects {
			if strings.Contains(e.Field, "JAVA_OPTS") {
				t.Errorf("effect %+v, and the other declaration ends with another value", e)
			}
		}
	})
	t.Run("block when nothing is the same", func(t *testing.T) {
		p := Make(input(settings(), app("cart", swFlag), elsewhere("all.yaml", image("registry.example/cart:2"))))
		if p.Summary.Blocked != 1 || p.Workloads[0].Reason.Code != fleet.CodeShared {
			t.Errorf("plan %+v", p.Workloads)
		}
	})
	t.Run("are two workloads in two waves", func(t *testing.T) {
		c := settings(func(s *config.Spec) {
			s.Batch.Waves = []config.Wave{{Name: "staging", Include: []string{"apps/**"}}, {Name: "prod", Include: []string{"prod/**"}}}
		})
		p := Make(input(c, app("cart", swFlag), elsewhere("prod/cart.yaml")))
		if len(p.Workloads) != 2 || p.Workloads[0].ID.Cluster != "prod" || p.Workloads[1].ID.Cluster != "staging" || len(p.Batches) != 2 {
			t.Errorf("workloads %+v", p.Workloads)
		}
	})
}

func BenchmarkMake(b *testing.B) {
	var list []fleet.Workload
	for i := range 2000 {
		list = append(list, app(fmt.Sprintf("app-%04d", i), swFlag))
	}
	in := input(settings(), list...)
	for b.Loop() {
		Make(in)
	}
}
