//go:build e2e

package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/cluster"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// corpusDir holds real manifests of public repositories, beside the project's
// root.
const corpusDir = "../../../shared/corpus"

// sample is a row of the corpus's index.
type sample struct {
	file, expected string
	workloads, how []string
}

// corpus reads the index, or skips the test.
func corpus(t *testing.T) []sample {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpusDir, "INDEX.tsv"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("needs the corpus of real manifests: ../shared/corpus is absent")
	}
	if err != nil {
		t.Fatal(err)
	}
	reader := csv.NewReader(bytes.NewReader(data))
	reader.Comma, reader.LazyQuotes, reader.FieldsPerRecord = '\t', true, -1
	rows, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var samples []sample
	for _, row := range rows[1:] {
		how, _, _ := strings.Cut(row[7], ";")
		samples = append(samples, sample{file: row[0], expected: row[5], workloads: words(row[6]), how: words(how)})
	}
	if len(samples) < 80 {
		t.Fatalf("%d files in the corpus's index, want all", len(samples))
	}
	return samples
}

func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

func corpusFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpusDir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// animals is what tells the namespace of manifests that name none.
const animals = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: animals, namespace: argocd}
spec:
  project: default
  source: {repoURL: https://git.example.com/acme/deployments.git, path: animals, targetRevision: HEAD}
  destination: {server: https://kubernetes.default.svc, namespace: animals}
`

// realFleet is a manifest repository of real files: init containers that copy
// the agent over a shared volume, options broken over six lines, SW_* beside
// them, documents without a namespace.
func realFleet(t *testing.T) fstest.MapFS {
	t.Helper()
	const tasks = "apache__dubbo-samples/10-task/dubbo-samples-"
	files := fstest.MapFS{"argocd/animals.yaml": {Data: []byte(animals)}}
	for name, from := range map[string]string{
		"shop/All.yml":     tasks + "shop/deploy/All.yml",
		"advanced/App.yml": tasks + "rpc-advanced/deploy/App.yml",
		"metrics/All.yml":  tasks + "metrics-demo/deploy/All.yml",
		"animals/name.yml": "allenliu88__opentracing-microservices-example/bootstrap/k8s/name-deployment-skywalking.yml",
	} {
		files[name] = &fstest.MapFile{Data: corpusFile(t, from)}
	}
	return files
}

func TestJourneyOverRealManifests(t *testing.T) {
	t.Parallel()
	corpus(t)
	const reverted = "dubbo-demo/Deployment/shop-user-gray"
	files := realFleet(t)
	r := newRig(t, files, sandbox.Options{
		Dies: "shop-user-gray", Config: map[string]string{"sidecar": `""`, "size": "14"},
		Applications: []cluster.Application{
			{Name: "advanced", Path: "advanced"},
			{Name: "animals", Path: "animals", Namespace: "animals"},
			{Name: "metrics", Path: "metrics"},
			{Name: "shop", Path: "shop"},
		},
	})
	plan := r.plan(t)
	want := fleet.PlanSummary{Workloads: 34, Migrate: 28, Batches: 3}
	if diff := cmp.Diff(want, plan.Summary); diff != "" {
		t.Errorf("plan summary (-want +got):\n%s", diff)
	}

	r.journey(t, func() { r.otelshift(t, "run").must(t, 0, 4) }, forge.Squash)

	state := states(r.status(t))
	for _, w := range plan.Workloads {
		id, want := w.ID.String(), fleet.StateVerified
		switch {
		case id == reverted:
			want = fleet.StateReverted
		case w.Action != fleet.ActionMigrate:
			continue
		}
		if state[id] != want {
			t.Errorf("%s is %s, want %s", id, state[id], want)
		}
	}
	for name, file := range files {
		after, err := r.Forge.ReadFile(t.Context(), "main", name)
		if err != nil {
			t.Fatal(err)
		}
		onlyMaterial(t, name, string(file.Data), string(after))
	}
	after, err := r.Forge.ReadFile(t.Context(), "main", "shop/All.yml")
	if err != nil {
		t.Fatal(err)
	}
	if before, after := document(string(files["shop/All.yml"].Data), "shop-user-gray"), document(string(after), "shop-user-gray"); before != after {
		t.Errorf("the reverted workload is not what it was (-before +after):\n%s", cmp.Diff(before, after))
	}
	if before, after := document(string(files["shop/All.yml"].Data), "shop-user"), document(string(after), "shop-user"); before == after {
		t.Error("the revert took back a neighbour")
	}
}

func (r *rig) plan(t *testing.T, args ...string) fleet.Plan {
	t.Helper()
	var plan fleet.Plan
	if err := json.Unmarshal([]byte(r.otelshift(t, append([]string{"plan", "-o", "json"}, args...)...).must(t, 0).stdout), &plan); err != nil {
		t.Fatal(err)
	}
	return plan
}

// document is the text of the YAML document whose metadata.name is name.
func document(text, name string) string {
	for _, d := range strings.Split(text, "\n---") {
		if strings.Contains(d, "kind: Deployment\nmetadata:\n  name: "+name+"\n") {
			return d
		}
	}
	return ""
}

var (
	// material is a line of the agent: its image, its copy command, its flag,
	// its variables and, in the line behind those, their values; SWCK's label and
	// annotations with the key that would be left empty.
	material = regexp.MustCompile(`(?i)skywalking|SW_[A-Z]|swck|opentelemetry-agent|\$\(AGENT_OPTS\)|^\s+annotations:$|^\s+value: "?(shop|rpc-advanced)::`)
	// arrival is a line that came instead: where SWCK injected the variable, the
	// variable itself, and arguments without the reference to what it injected.
	arrival = regexp.MustCompile(`(?i)otel|opentelemetry|^\s+env:$|- name: JAVA_TOOL_OPTIONS$|^\s+args: \["-jar",`)
	remark  = regexp.MustCompile(`^\s*(#|$)`)
)

// onlyMaterial fails unless every line that left belongs to SkyWalking, every
// line that came to OpenTelemetry, and comments and blank lines are as before.
func onlyMaterial(t *testing.T, name, before, after string) {
	t.Helper()
	gone, came := lineDiff(strings.Split(before, "\n"), strings.Split(after, "\n"))
	for _, line := range gone {
		if !material.MatchString(line) {
			t.Errorf("%s: a line that is none of SkyWalking's left: %q", name, line)
		}
	}
	for _, line := range came {
		if !arrival.MatchString(line) {
			t.Errorf("%s: a line that is none of OpenTelemetry's came: %q", name, line)
		}
	}
	if len(came) == 0 && strings.Contains(before, "-javaagent") {
		t.Errorf("%s: nothing was changed", name)
	}
	remarks := func(text string) []string {
		return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return !remark.MatchString(line) })
	}
	if diff := cmp.Diff(remarks(before), remarks(after)); diff != "" {
		t.Errorf("%s: comments or blank lines changed (-before +after):\n%s", name, diff)
	}
}

// lineDiff returns the lines that only a, and that only b has, by their
// longest common subsequence.
func lineDiff(a, b []string) (gone, came []string) {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				table[i][j] = table[i+1][j+1] + 1
			} else {
				table[i][j] = max(table[i+1][j], table[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && table[i+1][j] >= table[i][j+1]:
			gone, i = append(gone, a[i]), i+1
		default:
			came, j = append(came, b[j]), j+1
		}
	}
	return gone, came
}

func TestPlanAnswersSanelyToRealFiles(t *testing.T) {
	t.Parallel()
	for _, s := range corpus(t) {
		t.Run(s.file, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			name := path.Base(s.file)
			before := corpusFile(t, s.file)
			if err := os.WriteFile(filepath.Join(dir, name), before, 0o600); err != nil {
				t.Fatal(err)
			}
			res := offline(t, "plan", "--offline", "--dir", dir, "-o", "json").must(t, 0)
			var plan fleet.Plan
			if err := json.Unmarshal([]byte(res.stdout), &plan); err != nil {
				t.Fatal(err)
			}
			s.check(t, plan)

			images := imagesOf(t, plan)
			rewrite := offline(t, "rewrite", "--offline", "--dir", dir, "--images", images, "-o", "json").must(t, 0)
			after, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if plan.Summary.Migrate+plan.Summary.Upgrade == 0 {
				if !bytes.Equal(before, after) {
					t.Errorf("a file without anything to migrate was edited:\n%s", cmp.Diff(string(before), string(after)))
				}
				return
			}
			if bytes.Equal(before, after) {
				t.Errorf("nothing was edited:\n%s", rewrite.stdout)
			}
			onlyMaterial(t, name, string(before), string(after))
			offline(t, "rewrite", "--offline", "--dir", dir, "--images", images).must(t, 0)
			if again, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(after, again) {
				t.Errorf("a second rewrite changed the file again: %v", err)
			}
		})
	}
}

// check compares a plan with what the index says of its one file.
func (s sample) check(t *testing.T, plan fleet.Plan) {
	t.Helper()
	found := map[string]fleet.Action{}
	for _, w := range plan.Workloads {
		loads := false
		for _, c := range w.Containers {
			for _, l := range c.Loads {
				loads = loads || l.Agent == "skywalking"
			}
		}
		if loads || w.Action.Changes() || w.Action == fleet.ActionBlocked {
			found[w.ID.Kind+"/"+w.ID.Name] = w.Action
		}
		if w.Action.Changes() && len(w.Changes) == 0 {
			t.Errorf("%s: %s without changes", w.ID, w.Action)
		}
		if (w.Action == fleet.ActionBlocked || w.Action == fleet.ActionUnread) && (w.Reason == nil || w.Reason.Message == "") {
			t.Errorf("%s: %s without a reason", w.ID, w.Action)
		}
	}
	want := s.workloads
	baked := slices.Contains(s.how, "image-baked-only")
	if s.expected != "loads" || baked {
		want = nil
	}
	for _, id := range want {
		action, ok := found[id]
		delete(found, id)
		switch {
		case !ok:
			t.Errorf("%s is not found", id)
		case slices.Contains(s.how, "placeholder") || slices.Contains(s.how, "image-flag"):
			if action != fleet.ActionBlocked && action != fleet.ActionUnread {
				t.Errorf("%s: %s, want blocked: not all of it is in the file", id, action)
			}
		case action != fleet.ActionMigrate:
			t.Errorf("%s: %s, want migrate", id, action)
		}
	}
	for id, action := range found {
		t.Errorf("%s: %s, want no finding", id, action)
	}
	if baked && plan.Summary.Unread < len(s.workloads) {
		t.Errorf("%d workloads are unread, want those %d whose images have to be asked", plan.Summary.Unread, len(s.workloads))
	}
	if s.expected == "unparsable" && !slices.ContainsFunc(plan.Files, func(f fleet.FileReason) bool { return f.Reason.Code == fleet.CodeUnparsable && f.Line > 0 }) {
		t.Errorf("files = %v, want the file as unparsable with a line", plan.Files)
	}
}

// imagesOf is a file like that of "build -o json", with the images that the
// plan asks for.
func imagesOf(t *testing.T, p fleet.Plan) string {
	t.Helper()
	type image struct {
		From   string `json:"from"`
		To     string `json:"to"`
		Digest string `json:"digest"`
	}
	digest := "sha256:" + strings.Repeat("1", 64)
	built := []image{}
	for _, w := range p.Workloads {
		for _, c := range w.Containers {
			if c.Image != nil {
				built = append(built, image{c.Image.From, strings.Replace(c.Image.To, "<pending>", "0123456789ab", 1) + "@" + digest, digest})
			}
		}
	}
	data, err := json.Marshal(map[string]any{"images": built, "failed": []string{}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "images.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// offline runs the binary without a world.
func offline(t *testing.T, args ...string) result {
	t.Helper()
	const configuration = `apiVersion: otelshift.dev/v1alpha1
kind: Migration
metadata: {name: corpus}
spec:
  agent: {version: 2.20.0}
  options: {endpoint: "http://otel-collector.observability:4318"}
`
	file := filepath.Join(t.TempDir(), "otelshift.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	return (&rig{}).run(t, nil, append(args, "--config", file)...)
}
