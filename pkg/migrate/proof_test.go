package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// bare is a workload whose manifest says nothing of any agent.
func bare(name, more string) string {
	text, _, _ := strings.Cut(deployment(name), "          env:")
	return text + more
}

func loading(where string) fleet.ImageInfo {
	return fleet.ImageInfo{Loads: []fleet.ImageLoad{{Agent: javaagent.SkyWalking, Where: where, Jar: "/sw/skywalking-agent.jar"}}}
}

func (f *fakes) proof() (state fleet.Fleet, left []string, problems []Problem) {
	f.t.Helper()
	state, problems, err := f.migration().Proof(f.t.Context())
	if err != nil {
		f.t.Fatalf("Proof: %v", err)
	}
	left = []string{}
	for _, r := range state.Remaining {
		left = append(left, fmt.Sprintf("%s:%d %s", r.File, r.Line, r.What))
	}
	return state, left, problems
}

func TestProofListsWhatManifestsAndImagesStillHold(t *testing.T) {
	t.Parallel()
	const script = `apiVersion: v1
kind: ConfigMap
metadata: {name: scripts, namespace: shop}
data:
  start.sh: |
    # exec java -javaagent:/sw/skywalking-agent.jar -jar a.jar
    exec java -jar a.jar # not with -javaagent:/sw/skywalking-agent.jar
  a.properties: |
    ! skywalking-agent
    x=y
`
	rows := map[string]struct {
		files map[string]string
		infos map[string]fleet.ImageInfo
		want  []string
	}{
		"comments in YAML and in scripts are not left": {
			files: map[string]string{
				"apps/a.yaml":       bare("a", "          # env: [{name: JAVA_OPTS, value: -javaagent:/sw/skywalking-agent.jar}] # SW_AGENT_NAME\n"),
				"apps/scripts.yaml": script,
			},
			want: []string{},
		},
		"images that only a chart's templates name": {
			files: map[string]string{
				"apps/a.yaml":                       bare("a", ""),
				"chart/Chart.yaml":                  "apiVersion: v2\nname: pay\nversion: 1.0.0\n",
				"chart/values.yaml":                 "image: {repository: registry.example/shop/pay, tag: '1.0'}\n",
				"chart/templates/pay.yaml":          strings.ReplaceAll(bare("pay", ""), "registry.example/shop/pay:1.0", "{{ .Values.image.repository }}:{{ .Values.image.tag }}"),
				"chart/charts/sub/Chart.yaml":       "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
				"chart/charts/sub/templates/s.yaml": strings.ReplaceAll(bare("sub", ""), "name: sub", "name: {{ .Release.Name }}-sub"),
				"flagged/Chart.yaml":                "apiVersion: v2\nname: flagged\nversion: 1.0.0\n",
				"flagged/values.yaml":               "opts: -javaagent:/otel/opentelemetry-javaagent.jar\n",
				"flagged/templates/x.yaml":          strings.ReplaceAll(bare("x", "          env: [{name: JAVA_OPTS, value: \"OPTS\"}]\n"), "OPTS\"", "{{ .Values.opts }}\"") + "---\n" + bare("side", ""),
			},
			infos: map[string]fleet.ImageInfo{
				"registry.example/shop/pay:1.0": loading("Env JAVA_TOOL_OPTIONS"), "registry.example/shop/sub:1.0": loading("Entrypoint"), "registry.example/shop/side:1.0": loading("Entrypoint"),
			},
			want: []string{
				"chart/Chart.yaml:1 shop/Deployment/pay-sub: the image of container pay-sub loads SkyWalking by its Entrypoint",
				"chart/Chart.yaml:1 shop/Deployment/pay: the image of container pay loads SkyWalking by its Env JAVA_TOOL_OPTIONS",
				"flagged/Chart.yaml:1 shop/Deployment/side: the image of container side loads SkyWalking by its Entrypoint",
			},
		},
		"an image that loads it under a manifest that says nothing": {
			files: map[string]string{"apps/a.yaml": bare("a", "")},
			infos: map[string]fleet.ImageInfo{"registry.example/shop/a:1.0": loading("Env JAVA_TOOL_OPTIONS")},
			want:  []string{"apps/a.yaml:12 shop/Deployment/a: the image of container a loads SkyWalking by its Env JAVA_TOOL_OPTIONS"},
		},
		"a variable of the image that the manifest hides loads nothing": {
			files: map[string]string{"apps/a.yaml": bare("a", "          env: [{name: JAVA_TOOL_OPTIONS, value: -Xmx1g}]\n")},
			infos: map[string]fleet.ImageInfo{"registry.example/shop/a:1.0": loading("Env JAVA_TOOL_OPTIONS")},
			want:  []string{},
		},
		"an agent that lies in the image and nothing loads": {
			files: map[string]string{"apps/a.yaml": bare("a", "")},
			infos: map[string]fleet.ImageInfo{"registry.example/shop/a:1.0": {Contents: &fleet.ImageContents{Agents: []fleet.ImageAgent{{Directory: "/home/admin/skywalking-agent"}}}}},
			want:  []string{"apps/a.yaml:12 shop/Deployment/a: the image of container a holds SkyWalking's agent in /home/admin/skywalking-agent"},
		},
		"an init container that was migrated in kind keeps its name and its volume": {
			files: map[string]string{"apps/a.yaml": bare("a", `          env: [{name: JAVA_TOOL_OPTIONS, value: "-javaagent:/skywalking/agent/opentelemetry-javaagent.jar"}]
          volumeMounts: [{name: skywalking-agent, mountPath: /skywalking/agent}]
      initContainers:
        - name: skywalking-agent
          image: registry.example/otel/agent:2.20.0
          command: [cp, /javaagent.jar, /agent/opentelemetry-javaagent.jar]
          volumeMounts: [{name: skywalking-agent, mountPath: /agent}]
      volumes: [{name: skywalking-agent, emptyDir: {}}]
`)},
			want: []string{},
		},
		"an init container of SkyWalking's image that nothing loads any more, and the ConfigMap behind it": {
			files: map[string]string{"apps/a.yaml": bare("a", `      initContainers: [{name: agent, image: "apache/skywalking-java-agent:9.3.0-alpine"}]
      volumes: [{name: x, configMap: {name: skywalking-agent-config}}]
`)},
			want: []string{
				"apps/a.yaml:13 Deployment a: spec.template.spec.initContainers[name=agent].image names SkyWalking's agent",
				"apps/a.yaml:14 Deployment a: spec.template.spec.volumes[name=x].configMap.name names SkyWalking's agent",
			},
		},
		"a kind that is not selected, a ConfigMap that nobody takes, a broken file": {
			files: map[string]string{
				"apps/job.yaml": "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: j, namespace: shop}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - {name: j, image: r.example/j:1}\n",
				"apps/cm.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  run.sh: |\n    #!/bin/sh\n    exec java -javaagent:/sw/skywalking-agent.jar\n",
				"apps/x.yaml":   "apiVersion: v1\nkind: Pod\n{{ if .Values.skywalking }}\nx: [\n",
			},
			infos: map[string]fleet.ImageInfo{"r.example/j:1": loading("/start.sh:3")},
			want: []string{
				`apps/cm.yaml:7 ConfigMap c: data["run.sh"] names SkyWalking's agent`,
				"apps/job.yaml:10 shop/CronJob/j: the image of container j loads SkyWalking by its /start.sh:3",
				"apps/x.yaml:3 the file names SkyWalking and is not read: a template, not YAML: edit the values or the chart it is rendered with (helm-template)",
			},
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t)
			f.repo.commits[f.repo.main].files = row.files
			f.images.infos = row.infos
			state, left, problems := f.proof()
			if diff := cmp.Diff(row.want, left); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
			if len(state.Unseen) > 0 || len(problems) > 0 {
				t.Errorf("not looked at: %v, problems %v", state.Unseen, problems)
			}
			if len(f.writes) > 0 {
				t.Errorf("wrote %v", f.writes)
			}
		})
	}
}

func TestProofSaysWhatItDidNotLookAt(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	f.repo.commits[f.repo.main].files = map[string]string{"apps/a.yaml": bare("a", ""), "apps/b.yaml": bare("b", ""), "apps/c.yaml": bare("c", "")}
	f.images.unread = map[string]error{"registry.example/shop/a:1.0": fmt.Errorf("asking: %w", fleet.ErrUnavailable), "registry.example/shop/b:1.0": fleet.ErrNotFound}
	state, left, problems := f.proof()
	if len(left) > 0 {
		t.Errorf("left %v", left)
	}
	var unseen []string
	for _, u := range state.Unseen {
		unseen = append(unseen, u.File+" "+u.What)
	}
	want := []string{"apps/a.yaml image registry.example/shop/a:1.0: asking: unavailable", "apps/b.yaml image registry.example/shop/b:1.0: not found"}
	if diff := cmp.Diff(want, unseen); diff != "" {
		t.Errorf("not looked at (-want +got):\n%s", diff)
	}
	if len(problems) != 1 || !errors.Is(problems[0].Err, fleet.ErrUnavailable) {
		t.Errorf("problems %v: want the image that another run may read, and not the one that is not there", problems)
	}
	f.config.Spec.Image.Inspect = "none"
	f.images.inspected = nil
	state, _, _ = f.proof()
	if len(f.images.inspected) > 0 || len(state.Unseen) != 1 || state.Unseen[0].What != "3 images: image.inspect is none" {
		t.Errorf("with image.inspect none asked about %v, said %v", f.images.inspected, state.Unseen)
	}
	f.repo.commits[f.repo.main].files["prod/kustomization.yaml"] = "resources: [../base]\n"
	for _, inspect := range []string{"none", "signs"} {
		f.config.Spec.Image.Inspect = inspect
		state, _, _ = f.proof()
		if !slices.ContainsFunc(state.Unseen, func(u fleet.Remaining) bool {
			return u.File == "prod/kustomization.yaml" && strings.Contains(u.What, "../base")
		}) {
			t.Errorf("with image.inspect %s a base that is not here is not among %v", inspect, state.Unseen)
		}
	}
}

// TestInspectAllAsksAboutImagesWithoutAnySign: only the image says that it loads
// SkyWalking.
func TestInspectAllAsksAboutImagesWithoutAnySign(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string][]fleet.Action{"signs": nil, "all": {fleet.ActionMigrate}} {
		f := newFakes(t)
		f.config.Spec.Image.Inspect = mode
		f.repo.commits[f.repo.main].files = map[string]string{"apps/a.yaml": bare("a", ""), "apps/b.yaml": bare("b", "")}
		f.images.infos = map[string]fleet.ImageInfo{"registry.example/shop/a:1.0": loading("Env JAVA_TOOL_OPTIONS")}
		result, err := f.migration().Plan(t.Context(), Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var actions []fleet.Action
		for _, w := range result.Plan.Workloads {
			actions = append(actions, w.Action)
		}
		if !slices.Equal(actions, want) || result.Plan.Summary.Workloads != 2 {
			t.Errorf("image.inspect %s: actions %v of %d workloads, want %v of 2", mode, actions, result.Plan.Summary.Workloads, want)
		}
	}
}

// TestWhatOnlyAChartMakesIsNeverChanged: with image.inspect: all its images are
// asked too, and there is no value to edit.
func TestWhatOnlyAChartMakesIsNeverChanged(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		info fleet.ImageInfo
		want string
	}{
		"an image without an agent":         {fleet.ImageInfo{}, ""},
		"an image that loads the old agent": {loading("Entrypoint"), "shop/Deployment/pay blocked helm-template chart/Chart.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t)
			f.repo.main = f.repo.add(&fakeCommit{message: "a chart", files: map[string]string{
				"chart/Chart.yaml":         "apiVersion: v2\nname: pay\nversion: 1.0.0\n",
				"chart/templates/pay.yaml": strings.ReplaceAll(bare("pay", ""), "pay:1.0", "{{ .Chart.Name }}:{{ .Values.tag | default \"1.0\" }}"),
			}})
			f.images.infos = map[string]fleet.ImageInfo{"registry.example/shop/pay:1.0": row.info}
			f.config.Spec.Image.Inspect = "all"
			r, err := f.migration().Plan(t.Context(), Filter{})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, w := range r.Plan.Workloads {
				got = fmt.Sprintf("%s %s %s %s", w.ID, w.Action, w.Reason.Code, w.Reason.File)
			}
			if got != row.want || r.Plan.Summary.Workloads != 1 {
				t.Errorf("plan has %q of %d workloads, want %q of 1; files %+v", got, r.Plan.Summary.Workloads, row.want, r.Plan.Files)
			}
		})
	}
}
