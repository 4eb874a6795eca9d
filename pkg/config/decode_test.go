package config

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
)

const head = "apiVersion: otelshift.dev/v1alpha1\nkind: Migration\n"

func TestDecodeKeepsDefaults(t *testing.T) {
	t.Parallel()
	got, err := Decode("otelshift.yaml", []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got); diff != "" {
		t.Errorf("Decode of an empty Migration differs from Default (-want +got):\n%s", diff)
	}
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	if err := Default().Validate(); err != nil {
		t.Errorf("Default().Validate() = %v, want nil", err)
	}
}

func TestDecodeReads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec string
		want       func(*Spec)
	}{
		{"a value over a default", "  delivery: operator", func(s *Spec) { s.Delivery = "operator" }},
		{"a list replaces the default list", "  repository: {include: [a/**]}", func(s *Spec) { s.Repository.Include = []string{"a/**"} }},
		{"an empty list replaces the default list", "  options: {add: []}", func(s *Spec) { s.Options.Add = []string{} }},
		{"null keeps the default", "  options: {add: ~, protocol: }", func(*Spec) {}},
		{"a version that looks like a number keeps its text", "  agent: {version: 2.20}", func(s *Spec) {
			s.Agent.Version = "2.20"
			s.Agent.Source.Image = "ghcr.io/open-telemetry/opentelemetry-operator/autoinstrumentation-java:2.20"
		}},
		{"the default source follows the version", "  agent: {version: 2.21.0}", func(s *Spec) {
			s.Agent.Version = "2.21.0"
			s.Agent.Source.Image = "ghcr.io/open-telemetry/opentelemetry-operator/autoinstrumentation-java:2.21.0"
		}},
		{"a source replaces the default source", "  agent: {source: {file: agent.jar}}", func(s *Spec) { s.Agent.Source = Source{File: "agent.jar"} }},
		{"an image source has the default path", "  agent: {source: {image: reg/otel:1}}", func(s *Spec) {
			s.Agent.Source = Source{Image: "reg/otel:1", Path: "/javaagent.jar"}
		}},
		{"a start script", "  agent: {startScript: {file: start.sh, path: /home/admin/start.sh}}", func(s *Spec) {
			s.Agent.StartScript = &StartFile{File: "start.sh", Path: "/home/admin/start.sh"}
		}},
		{"plain labels as selector", "  workloads: {selector: {team: shop, matchLabels: odd}}", func(s *Spec) {
			s.Workloads.Selector = Selector{MatchLabels: map[string]string{"team": "shop", "matchLabels": "odd"}}
		}},
		{"a full selector", "  workloads: {selector: {matchLabels: {team: shop}, matchExpressions: [{key: tier, operator: NotIn, values: [test]}]}}", func(s *Spec) {
			s.Workloads.Selector = Selector{
				MatchLabels:      map[string]string{"team": "shop"},
				MatchExpressions: []Requirement{{Key: "tier", Operator: "NotIn", Values: []string{"test"}}},
			}
		}},
		{"explicit removals", "  image: {remove: [/opt/skywalking]}", func(s *Spec) { s.Image.Remove = Remove{Paths: []string{"/opt/skywalking"}} }},
		{"removal auto", "  image: {remove: auto}", func(*Spec) {}},
		{"a boolean where an enum allows its text", "  verify: {argocd: {enabled: false}}", func(s *Spec) { s.Verify.ArgoCD.Enabled = "false" }},
		{"durations and sizes", "  verify: {gate: 90s, soak: 1h30m}\n  repository: {maxFileSize: 512KiB}", func(s *Spec) {
			s.Verify.Gate, s.Verify.Soak = Duration(90*time.Second), Duration(90*time.Minute)
			s.Repository.MaxFileSize = 512 << 10
		}},
		{"a size without a unit in bytes", "  repository: {maxFileSize: 4096}", func(s *Spec) { s.Repository.MaxFileSize = 4096 }},
		{"a cluster alone needs no name", "  verify: {clusters: [{context: prod}]}", func(s *Spec) { s.Verify.Clusters = []Cluster{{Name: "default", Context: "prod"}} }},
		{
			"lost options by key, variable, pattern, property, and in full", "  options: {allowLost: [agent.keep_tracing, SW_AGENT_AUTHENTICATION, 'plugin.*', 'agent.instance_properties[org]', -Dskywalking.plugin.own.x, skywalking.agent.cause_exception_depth]}",
			func(s *Spec) {
				s.Options.AllowLost = []string{"agent.keep_tracing", "SW_AGENT_AUTHENTICATION", "plugin.*", "agent.instance_properties[org]", "-Dskywalking.plugin.own.x", "skywalking.agent.cause_exception_depth"}
			},
		},
		{"a query of several lines", "  verify:\n    telemetry:\n      prometheus:\n        url: http://p:9090\n        query: |\n          sum(x)\n            > 0", func(s *Spec) {
			s.Verify.Telemetry.Prometheus = &Prometheus{URL: "http://p:9090", Query: "sum(x)\n  > 0\n"}
		}},
		{"addresses and branches that git takes", "  repository: {url: 'git@github.com:acme/x.git', branch: release/2026.1_x-y}", func(s *Spec) {
			s.Repository.URL, s.Repository.Branch = "git@github.com:acme/x.git", "release/2026.1_x-y"
		}},
		{"an alias", "  pullRequest: {reviewers: &people [ann], assignees: *people}", func(s *Spec) {
			s.PullRequest.Reviewers, s.PullRequest.Assignees = []string{"ann"}, []string{"ann"}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := Default()
			tt.want(&want.Spec)
			got, err := Decode("otelshift.yaml", []byte(head+"spec:\n"+tt.spec+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Decode differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		want       string // problems, one per line, "hint: …" below
	}{
		{"an empty file", "", "f: the file is empty\nhint: run \"otelshift init\" for a file to start from"},
		{"UTF-16", "\xff\xfea\x00", "f: the file is UTF-16 or UTF-32, not UTF-8\nhint: save the file as UTF-8"},
		{"only the mark of UTF-16", "\xff\xfe", "f: the file is UTF-16 or UTF-32, not UTF-8\nhint: save the file as UTF-8"},
		{"UTF-16 without a mark", "a\x00p\x00", "f: the file is UTF-16 or UTF-32, not UTF-8\nhint: save the file as UTF-8"},
		{"Latin 1", "a: \xe9", "f: the file is not UTF-8\nhint: save the file as UTF-8"},
		{"a list", "- a", "f:1:1: want a Migration object, got a list"},
		{"another kind", "apiVersion: apps/v1\nkind: Deployment\n", `f:1:13: apiVersion: "apps/v1" is not one of otelshift.dev/v1alpha1
f:2:7: kind: "Deployment" is not one of Migration`},
		{"a missing type", "metadata: {name: x}\n", "f:1:1: missing apiVersion: otelshift.dev/v1alpha1\nf:1:1: missing kind: Migration"},
		{"broken YAML at its line", head + "spec:\n  a: [\n", "f:4: invalid YAML: did not find expected node content"},
		{"a second document", head + "---\n" + head, "f:3:1: a second document: want one Migration object"},
		{"an unknown key near a known one", head + "spec:\n  agent:\n    sorce: {}\n", "f:5:5: unknown key \"sorce\" in spec.agent\nhint: did you mean \"source\"?"},
		{"a key in the wrong case", head + "spec:\n  batch: {maxopen: 2}\n", "f:4:11: unknown key \"maxopen\" in spec.batch\nhint: did you mean \"maxOpen\"?"},
		{"a key in the wrong place", head + "spec:\n  endpoint: http://x\n", "f:4:3: unknown key \"endpoint\" in spec\nhint: \"endpoint\" belongs in spec.options"},
		{"a key of nowhere", head + "spec:\n  commit: {quux: 1}\n", "f:4:12: unknown key \"quux\" in spec.commit\nhint: the keys of spec.commit are name, email, signOff"},
		{"an unknown key in a list", head + "spec:\n  batch:\n    waves:\n      - nam: a\n", "f:6:9: unknown key \"nam\" in spec.batch.waves[0]\nhint: did you mean \"name\"?"},
		{"a key twice", head + "spec:\n  delivery: auto\n  delivery: image\n", "f:5:3: duplicate key \"delivery\" in spec: it is also on line 4"},
		{"wrong types, several at once", head + "spec:\n  batch: {size: ten, first: 1.5}\n  repository: {include: a, url: [b]}\n  options: {cleanup: maybe}\n  verify: []\n", `f:4:17: spec.batch.size: want a whole number, got "ten"
f:4:29: spec.batch.first: want a whole number, got "1.5"
f:5:25: spec.repository.include: want a list, got "a"
f:5:33: spec.repository.url: want text, got a list
f:6:22: spec.options.cleanup: want true or false, got "maybe"
f:7:11: spec.verify: want a mapping, got a list`},
		{"a duration without a unit", head + "spec:\n  verify: {gate: 5}\n", `f:4:18: spec.verify.gate: "5" is not a duration: want a number with a unit, as in 90s, 5m or 1h30m`},
		{"a negative duration", head + "spec:\n  verify: {gate: -5m}\n", `f:4:18: spec.verify.gate: duration "-5m" is negative`},
		{"a bad size", head + "spec:\n  repository: {maxFileSize: 5 foo}\n", `f:4:29: spec.repository.maxFileSize: "5 foo" is not a size: want a whole number with a unit, as in 512KiB or 5MiB`},
		{"a bad glob in a list", head + "spec:\n  repository:\n    exclude:\n      - a\n      - '{b'\n", `f:7:9: spec.repository.exclude[1]: "{b" is not a glob: a bracket or brace is not closed, or a backslash ends it`},
		{"a bad enum", head + "spec:\n  delivery: imag\n", "f:4:13: spec.delivery: \"imag\" is not one of auto, image, init-container, operator\nhint: did you mean image?"},
		{"a bad enum in a list", head + "spec:\n  batch: {groupBy: [wave, team]}\n", `f:4:27: spec.batch.groupBy[1]: "team" is not one of wave, owner`},
		{"a number below its least", head + "spec:\n  batch: {maxOpen: 0}\n", "f:4:20: spec.batch.maxOpen: 0 is less than 1"},
		{
			"an option's template", head + "spec:\n  options: {add: ['-Da={{.Tag}}']}\n",
			"f:4:19: spec.options.add[0]: \"-Da={{.Tag}}\" is not a template: template: option:1:6: executing \"option\" at <.Tag>: can't evaluate field Tag\n" +
				"hint: the fields are {{.Name}}, {{.Namespace}}, {{.Label}} and {{.ImageTag}}, and {{label \"team\"}} is a label's value",
		},
		{
			"a lost option with a slip in it", head + "spec:\n  options:\n    allowLost:\n      - agent.keep_tracing\n      - agent.keep_tracin\n",
			"f:7:9: spec.options.allowLost[1]: \"agent.keep_tracin\" is no option of SkyWalking's Java agent, and no pattern of any\nhint: did you mean agent.keep_tracing?",
		},
		{
			"a lost option of nobody's, a lost variable, a pattern of nothing", head + "spec:\n  options: {allowLost: [tracing, SW_AGENT_AUTENTICATION, 'agents.*']}\n",
			"f:4:25: spec.options.allowLost[0]: \"tracing\" is no option of SkyWalking's Java agent, and no pattern of any\n" +
				"hint: docs/mapping.md lists them; one that is not there is written out: -Dskywalking.KEY\n" +
				"f:4:34: spec.options.allowLost[1]: \"SW_AGENT_AUTENTICATION\" is no option of SkyWalking's Java agent, and no pattern of any\n" +
				"hint: did you mean SW_AGENT_AUTHENTICATION?\n" +
				"f:4:58: spec.options.allowLost[2]: \"agents.*\" is no option of SkyWalking's Java agent, and no pattern of any\n" +
				"hint: docs/mapping.md lists them; one that is not there is written out: -Dskywalking.KEY",
		},
		{
			"an address that is none of git's", head + "spec:\n  repository: {url: 'ftp://x/y.git'}\n",
			"f:4:21: spec.repository.url: \"ftp://x/y.git\" is no address that git takes\nhint: spec.repository.url is https://host/owner/repo.git, ssh://git@host/owner/repo.git or git@host:owner/repo.git",
		},
		{
			"a branch in full", head + "spec:\n  repository: {branch: refs/heads/main}\n",
			"f:4:24: spec.repository.branch: \"refs/heads/main\" is a ref's full name, not a branch's\nhint: write main",
		},
		{"a branch that git refuses", head + "spec:\n  repository: {branch: 'a b'}\n", "f:4:24: spec.repository.branch: \"a b\" is not the name of a branch"},
		{
			"text of several lines", head + "spec:\n  agent: {version: \"2.20.0\\nOtelshift-Key: 1\", source: {file: a.jar}}\n  commit: {name: \"a\\nb\"}\n  pullRequest: {milestone: \"x\\u2028y\"}\n" +
				"  batch: {waves: [{name: \"a\\tb\", include: [a]}]}\n",
			"f:4:20: spec.agent.version: \"2.20.0\\nOtelshift-Key: 1\" holds a line break or another control character\n" +
				"f:4:20: spec.agent.version: \"2.20.0\\nOtelshift-Key: 1\" is not a version\n" +
				"f:5:18: spec.commit.name: \"a\\nb\" holds a line break or another control character\n" +
				"f:6:28: spec.pullRequest.milestone: \"x\\u2028y\" holds a line break or another control character\n" +
				"f:7:26: spec.batch.waves[0].name: \"a\\tb\" holds a line break or another control character",
		},
		{
			"a wave's name that is no part of a name", head + "spec:\n  batch: {waves: [{name: prod/eu, include: [a]}, {name: ' prod', include: [b]}]}\n",
			"f:4:26: spec.batch.waves[0].name: \"prod/eu\" holds a slash, or begins or ends with a blank\nhint: it becomes a part of names between slashes: prod-eu, not prod/eu\n" +
				"f:4:57: spec.batch.waves[1].name: \" prod\" holds a slash, or begins or ends with a blank\nhint: it becomes a part of names between slashes: prod-eu, not prod/eu",
		},
		{
			"an option of an override", head + "spec:\n  options: {overrides: [{match: {name: a}, add: [Xmx1g]}]}\n",
			"f:4:50: spec.options.overrides[0].add[0]: \"Xmx1g\" is not a JVM option: it has to begin with a dash",
		},
		{
			"credentials in the endpoint", head + "spec:\n  options: {endpoint: 'https://bot:abc@otel:4318'}\n",
			"f:4:23: spec.options.endpoint: holds credentials\nhint: every manifest would show them: pass them as OTEL_EXPORTER_OTLP_HEADERS from a Secret",
		},
		{"credentials in the URL", head + "spec:\n  repository: {url: 'https://bot:abc@host/r.git'}\n", "f:4:21: spec.repository.url: holds credentials\nhint: put the token into the environment variable GITHUB_TOKEN"},
		{"two sources at once", head + "spec:\n  agent:\n    source: {file: a.jar, image: b}\n", "f:5:13: spec.agent.source: want exactly one of image, file, archive and url"},
		{"a download without a checksum", head + "spec:\n  agent:\n    source: {url: 'https://host/a.jar'}\n", "f:5:13: spec.agent.source.sha256: want the 64 hexadecimal digits of what https://host/a.jar serves\nhint: a download without a checksum is not reproducible"},
		{"a tag without the hash", head + "spec:\n  image: {tag: '{{.Tag}}-otel'}\n", "f:4:16: spec.image.tag: \"{{.Tag}}-otel\" does not contain {{.Hash}}\nhint: without it two different images would share a tag"},
		{"a tag that is no tag", head + "spec:\n  image: {tag: '{{.Tag}}+{{.Hash}}'}\n", `f:4:16: spec.image.tag: "{{.Tag}}+{{.Hash}}" does not make a tag: "1.4+0123456789ab"`},
		{"a removal of everything", head + "spec:\n  image: {remove: [/]}\n", `f:4:20: spec.image.remove[0]: "/" is not an absolute path below /`},
		{"a removal that is a word", head + "spec:\n  image: {remove: all}\n", `f:4:19: spec.image.remove: want auto or a list of absolute paths, got "all"`},
		{"an option without a dash", head + "spec:\n  options: {add: [otel.x=1]}\n", `f:4:19: spec.options.add[0]: "otel.x=1" is not a JVM option: it has to begin with a dash`},
		{"an override for everything", head + "spec:\n  options: {overrides: [{add: [-Dx=1]}]}\n", "f:4:25: spec.options.overrides[0].match: matches everything\nhint: what holds for every workload belongs in spec.options itself"},
		{"a soak below the gate", head + "spec:\n  verify: {gate: 10m, soak: 5m}\n", "f:4:29: spec.verify.soak: 5m is less than gate, 10m"},
		{"an expression without values", head + "spec:\n  workloads: {selector: {matchExpressions: [{key: a, operator: In}]}}\n", "f:4:45: spec.workloads.selector.matchExpressions[0]: operator In needs values"},
		{"a selector's typo", head + "spec:\n  workloads: {selector: {matchLabels: {a: b}, matchExpresions: []}}\n", "f:4:47: unknown key \"matchExpresions\" in spec.workloads.selector\nhint: did you mean \"matchExpressions\"?"},
		{"two waves of one name", head + "spec:\n  batch: {waves: [{name: a, include: [a]}, {name: a, include: [b]}]}\n", `f:4:51: spec.batch.waves[1].name: a second wave "a"`},
		{"a merge key", head + "spec:\n  commit: &c {name: a}\n  <<: *c\n", "f:5:7: merge keys (<<) are not supported here\nhint: write the keys out"},
		{"a label that GitHub refuses", head + "spec:\n  pullRequest: {labels: [ok, xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]}\n", "f:4:30: spec.pullRequest.labels[1]: has 51 characters, GitHub takes 1 to 50"},
		{"a branch prefix that git refuses", head + "spec:\n  pullRequest: {branchPrefix: otel/.x}\n", "f:4:31: spec.pullRequest.branchPrefix: \"otel/.x\" is not the start of a branch name"},
		{"a branch prefix that covers the base branch", head + "spec:\n  repository: {branch: otelshift/main}\n", "f:4:3: spec.pullRequest.branchPrefix: \"otelshift/\" is also the start of spec.repository.branch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode("f", []byte(tt.file))
			var invalid *InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("Decode = %+v, %v, want an *InvalidError", got, err)
			}
			var lines []string
			for _, p := range invalid.Problems {
				lines = append(lines, p.String())
				if p.Hint != "" {
					lines = append(lines, "hint: "+p.Hint)
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(lines, "\n")); diff != "" {
				t.Errorf("problems differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeIsBounded(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'j'; c++ {
		prev := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+prev+",", 10), ",") + "]\n"
	}
	for name, file := range map[string]string{
		"aliases that multiply": head + bomb + "spec: {pullRequest: {labels: *j}}\n",
		"an alias in itself":    head + "spec: {options: {overrides: &x [{match: *x}]}}\n",
		"deep nesting":          head + "spec: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"a large file":          head + strings.Repeat("#\n", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Decode("f", []byte(file)); err == nil {
				t.Error("Decode = nil error, want a refusal")
			}
		})
	}
}

func TestEncodeRoundTrip(t *testing.T) {
	t.Parallel()
	full := Default()
	full.Spec.Repository.URL = "https://github.com/acme/deployments.git"
	full.Spec.Workloads.Selector = Selector{MatchExpressions: []Requirement{{Key: "a", Operator: "In", Values: []string{"true", "1"}}}}
	full.Spec.Agent.StartScript = &StartFile{File: "s", Path: "/s"}
	full.Spec.Agent.Extensions = []Source{{File: "ext.jar"}}
	full.Spec.Image.Remove = Remove{Paths: []string{"/skywalking"}}
	full.Spec.Options.Overrides = []Override{{Match: Match{Name: "a*"}, Add: []string{"-Dx=1"}}}
	full.Spec.Verify.Telemetry.Prometheus = &Prometheus{URL: "http://prometheus", Query: "up"}
	for name, want := range map[string]Config{"defaults": Default(), "everything set": full} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode("encoded", text)
			if err != nil {
				t.Fatalf("Decode of what Encode wrote: %v\n%s", err, text)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("round trip differs (-want +got):\n%s", diff)
			}
			asJSON, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var viaJSON Config
			if err := json.Unmarshal(asJSON, &viaJSON); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, viaJSON, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("JSON round trip differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValuesAsYAML(t *testing.T) {
	t.Parallel()
	type values struct {
		Remove   Remove
		Selector Selector
		Size     Size
		Duration Duration
	}
	want := values{Remove{Auto: true}, Selector{MatchLabels: map[string]string{"a": "b"}}, 1500, Duration(time.Hour)}
	text, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(text), "remove: auto\nselector:\n    a: b\nsize: 1500B\nduration: 1h\n"; got != want {
		t.Errorf("Marshal = %q, want %q", got, want)
	}
	var got values
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("round trip differs (-want +got):\n%s", diff)
	}
}

func TestRequireWrite(t *testing.T) {
	t.Parallel()
	ready := Default()
	ready.Spec.Options.Endpoint = "http://collector:4318"
	withURL := ready
	withURL.Spec.Repository.URL = "git@host:r.git"
	tests := []struct {
		name   string
		config Config
		dir    bool
		want   string
	}{
		{"a repository will do", withURL, false, ""},
		{"a local checkout will do", ready, true, ""},
		{"neither of them", ready, false, "spec.repository.url: is not set"},
		{"no endpoint", Default(), true, "spec.options.endpoint: is not set"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := tt.config.RequireWrite(tt.dir); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("RequireWrite(%v) = %q, want %q", tt.dir, got, tt.want)
			}
		})
	}
}

func TestSelectorMatches(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"team": "shop", "tier": "web"}
	expr := func(key, operator string, values ...string) Selector {
		return Selector{MatchExpressions: []Requirement{{key, operator, values}}}
	}
	tests := []struct {
		name     string
		selector Selector
		want     bool
	}{
		{"an empty selector matches", Selector{}, true},
		{"equal labels match", Selector{MatchLabels: map[string]string{"team": "shop"}}, true},
		{"another value does not", Selector{MatchLabels: map[string]string{"team": "pay"}}, false},
		{"an absent label does not equal the empty value", Selector{MatchLabels: map[string]string{"x": ""}}, false},
		{"In lists the value", expr("tier", "In", "db", "web"), true},
		{"In without the label", expr("x", "In", "db"), false},
		{"NotIn lists the value", expr("tier", "NotIn", "web"), false},
		{"NotIn without the label", expr("x", "NotIn", "web"), true},
		{"Exists", expr("tier", "Exists"), true},
		{"DoesNotExist", expr("tier", "DoesNotExist"), false},
		{"DoesNotExist without the label", expr("x", "DoesNotExist"), true},
		{"an unknown operator matches nothing", expr("tier", "Near", "web"), false},
		{"all conditions have to hold", Selector{
			MatchLabels:      map[string]string{"team": "shop"},
			MatchExpressions: []Requirement{{"tier", "In", []string{"web"}}, {"x", "Exists", nil}},
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.selector.Matches(labels); got != tt.want {
				t.Errorf("%+v.Matches(%v) = %v, want %v", tt.selector, labels, got, tt.want)
			}
		})
	}
}

func TestSizeAndDurationText(t *testing.T) {
	t.Parallel()
	sizes := []struct {
		text, want string
		bytes      Size
	}{{"5MiB", "5MiB", 5 << 20}, {"1024", "1KiB", 1024}, {"1MB", "1000000B", 1e6}, {"3 KiB", "3KiB", 3072}, {"0", "0B", 0}}
	for _, tt := range sizes {
		got, err := ParseSize(tt.text)
		if err != nil || got != tt.bytes || got.String() != tt.want {
			t.Errorf("ParseSize(%q) = %d (%s), %v, want %d (%s)", tt.text, got, got, err, tt.bytes, tt.want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "9999999TiB", "9223372036854775808"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
	for text, want := range map[string]string{"300s": "5m", "60m": "1h", "90m": "1h30m", "0": "0s", "1h0m1s": "1h0m1s", "100ms": "100ms"} {
		got, err := ParseDuration(text)
		if err != nil || got.String() != want {
			t.Errorf("ParseDuration(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"source", "size", "maxOpen", "add", ""}
	for name, want := range map[string]string{
		"sorce": "source", "SIZE": "size", "maxopen": "maxOpen", "siez": "size", "quux": "", "ad": "add", "": "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(head))
	f.Add([]byte(head + "spec: {workloads: {selector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}}"))
	f.Add([]byte(head + "spec: {image: {remove: [/a]}, verify: {gate: 1h}}"))
	f.Add([]byte("a: &a [*a]\n<<: {? [x] : y}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Decode("f", data)
		if err != nil {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
				t.Fatalf("Decode = %v, want an *InvalidError with problems", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("Validate after Decode = %v", err)
		}
		text, err := Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode("again", text)
		if err != nil {
			t.Fatalf("Decode of what Encode wrote: %v\n%s", err, text)
		}
		// An empty and an absent list or map are the same configuration.
		second, err := Encode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(text), string(second)); diff != "" {
			t.Fatalf("round trip differs (-want +got):\n%s", diff)
		}
	})
}
