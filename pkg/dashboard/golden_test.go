package dashboard

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/ledger"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func id(name string) fleet.ID {
	return fleet.ID{Kind: "Deployment", Namespace: "shop", Name: name}
}

func at(minute int) time.Time { return time.Date(2026, 3, 4, 9, minute, 0, 0, time.UTC) }

// planned is a migrated workload with one option of each grade.
func planned(name string) fleet.Planned {
	place := fleet.Place{File: "apps/" + name + ".yaml", Line: 12, Column: 18}
	return fleet.Planned{
		ID: id(name), File: place.File, Line: place.Line, Action: fleet.ActionMigrate, Delivery: fleet.DeliveryImage,
		Containers: []fleet.PlannedContainer{{
			Name:  name,
			Image: &fleet.ImageChange{From: "registry.example/shop/" + name + ":1.4", To: "registry.example/shop/" + name + ":1.4-otel-3f9c2a17@sha256:" + strings.Repeat("ab", 32)},
			Loads: []fleet.Load{{Container: name, Agent: javaagent.SkyWalking, Via: fleet.ViaEnv, Name: "CATALINA_OPTS", Place: place}},
			Effective: []fleet.EffectiveSetting{
				{Key: "agent.service_name", Value: name, From: "-Dskywalking.agent.service_name=" + name, Shadowed: []string{"SW_AGENT_NAME=other"}},
				{Key: "agent.authentication", From: "-Dskywalking.agent.authentication=***"},
			},
			Plugins: []javaagent.PluginUse{
				{Name: "jedis-4.x", Excluded: true, Instrumentations: []string{"jedis"}},
				{Name: "caffeine-3.x", Instrumentations: []string{}, Note: "a cache | no calls"},
			},
			Options: []fleet.Option{
				{From: "-Dskywalking.agent.service_name=" + name, To: "-Dotel.service.name=" + name, Grade: javaagent.Exact},
				{From: "-Dskywalking.agent.sample_n_per_3_secs=10", To: "-Dotel.traces.sampler=parentbased_traceidratio", Grade: javaagent.Approximate, Note: "a rate | not a ratio"},
				{From: "-Dskywalking.agent.authentication=hunter2", To: "", Grade: javaagent.Lost, Inert: true},
			},
		}},
		Warnings: []fleet.Warning{{Code: fleet.CodeCollectorOption, Message: "the collector has to sample", Place: place}},
	}
}

func somePlan() fleet.Plan {
	blocked := fleet.Planned{
		ID: id("pay"), File: "apps/pay.yaml", Line: 3, Action: fleet.ActionBlocked,
		Reason: &fleet.Reason{Code: fleet.CodeHelmTemplate, Message: "the value is a Helm template", Place: fleet.Place{File: "apps/pay.yaml", Line: 21, Column: 9}},
	}
	wide := fleet.Planned{
		ID: fleet.ID{Kind: "StatefulSet", Namespace: "商店", Name: "库存服务"}, File: "应用/库存.yaml", Line: 7, Action: fleet.ActionSkip,
		Reason: &fleet.Reason{Code: fleet.CodeReplicasZero, Message: "副本数为零，不选择这个工作负载，因为没有任何实例在运行"},
	}
	return fleet.Plan{
		Target:    fleet.Target{Agent: "opentelemetry-javaagent", Version: "2.20.0"},
		Workloads: []fleet.Planned{planned("cart"), planned("order"), blocked, wide},
		Batches:   []fleet.BatchPlan{{Number: 1, Key: "k1", Workloads: []string{"shop/Deployment/cart"}}, {Number: 2, Key: "k2", Workloads: []string{"shop/Deployment/order"}}},
		Files:     []fleet.FileReason{{File: "charts/x.yaml", Line: 4, Reason: fleet.Reason{Code: fleet.CodeUnparsable, Message: "mapping values are not allowed"}}},
		Warnings:  []fleet.Warning{{Code: fleet.CodeLostOption, Message: "traces break at every boundary"}},
		Notes:     []string{"SQL is sanitised"},
		Collector: "# a remark\nprocessors:\n  filter/skywalking:\n    traces:\n      span:\n        - 'attributes[\"url.path\"] == \"```\"'\n",
		Summary:   fleet.PlanSummary{Workloads: 4, Migrate: 2, Skip: 1, Blocked: 1, Batches: 2},
	}
}

func failed() fleet.Verdict {
	return fleet.Verdict{
		State: fleet.VerdictFailed, Reason: "CrashLoopBackOff", Message: "container order of pod order-7d4b-x: CrashLoopBackOff, exit code 1", Row: 12, Since: at(6), At: at(6),
		Evidence: []fleet.Evidence{{
			Pod: "order-7d4b-x", Container: "order", Reason: "CrashLoopBackOff", ExitCode: 1, Restarts: 4, Finished: at(5),
			Log: []string{"Error opening zip file or JAR manifest missing", "password=hunter2"}, Events: []string{"BackOff: restarting failed container"},
		}},
	}
}

func someRecord() fleet.Record {
	soaking := fleet.Verdict{State: fleet.VerdictSoaking, Since: at(4), SoakUntil: at(59), GatePassed: true}
	bad := failed()
	return fleet.Record{
		Kind: fleet.RecordBatch, Key: "k2", Number: 2, Target: "t", Version: "2.20.0", Base: strings.Repeat("1", 40),
		Workloads: []fleet.RecordWorkload{
			{ID: "shop/Deployment/cart", Action: fleet.ActionMigrate, File: "apps/cart.yaml", Effects: []fleet.RecordEffect{{Field: "spec.x", Old: "a", New: "b"}}, Verdict: &soaking},
			{
				ID: "shop/Deployment/order", Action: fleet.ActionMigrate, File: "apps/order.yaml", Verdict: &bad, Image: &fleet.ImageChange{From: "order:1.4", To: "order:1.4-otel-3f9c2a17"},
				Effects:  []fleet.RecordEffect{{Field: "spec.x", Old: "a", New: "b"}, {Field: "spec.y", Old: "a", New: "b"}},
				Baseline: &fleet.Baseline{Taken: at(0), Containers: []fleet.ContainerBaseline{{Name: "order", Ready: true, Pods: 2, Restarts: 1}}},
			},
			{ID: "shop/StatefulSet/stock", Action: fleet.ActionMigrate, File: "apps/stock.yaml"},
		},
	}
}

func someFleet() fleet.Fleet {
	bad := failed()
	link := func(n int) fleet.PullRequestLink {
		return fleet.PullRequestLink{Number: n, URL: fmt.Sprintf("https://git.example/acme/deployments/pull/%d", n)}
	}
	revert := link(5)
	return fleet.Fleet{
		Summary: map[string]int{"total": 4, "verified": 1, "reverting": 1, "blocked": 1, "pending": 1},
		Paused:  &fleet.Pause{Since: at(6), Batch: 2, Reason: "shop/Deployment/order failed and its revert #5 is not merged"},
		Next:    "a person reviews revert pull request #5: merge it, or close it to accept the failure",
		Batches: []fleet.BatchStatus{
			{Number: 1, Key: "k1", State: fleet.BatchVerified, PullRequest: link(3), Workloads: []string{"shop/Deployment/cart"}},
			{Number: 2, Key: "k2", State: fleet.BatchFailed, PullRequest: link(4), Revert: &revert, Workloads: []string{"shop/Deployment/order"}},
		},
		Workloads: []fleet.WorkloadStatus{
			{ID: id("cart"), State: fleet.StateVerified, Batch: 1, Image: &fleet.ImageChange{From: "r/cart:1.4", To: "r/cart:1.4-otel-3f9c2a17@sha256:ab"}},
			{ID: id("order"), State: fleet.StateReverting, Batch: 2, Verdict: &bad, PullRequest: 4, Revert: &revert},
			{ID: id("pay"), State: fleet.StateBlocked, Reason: &fleet.Reason{Code: fleet.CodeHelmTemplate, Message: "the value is a Helm template"}},
			{ID: fleet.ID{Kind: "StatefulSet", Namespace: "商店", Name: "库存服务"}, State: fleet.StatePending},
		},
		Remaining: []fleet.Remaining{{Place: fleet.Place{File: "apps/pay.yaml", Line: 21, Column: 9}, What: "shop/Deployment/pay loads SkyWalking by env CATALINA_OPTS"}},
	}
}

func TestARevertSaysWhichPodsToDelete(t *testing.T) {
	in := revertInput()
	bad := failed()
	bad.Stuck = []string{"shop/order-1", "shop/order-2; rm -rf /"}
	in.Batch.Workloads[1].Verdict = &bad
	body := RevertBody(in)
	for _, part := range []string{"kubectl -n shop delete pod order-1\n", "kubectl -n shop delete pod 'order-2; rm -rf /'"} {
		if !strings.Contains(body, part) {
			t.Errorf("the body lacks %q:\n%s", part, body)
		}
	}
}

// revertInput reverts order of someRecord's batch.
func revertInput() RevertBodyInput {
	batch := someRecord()
	revert := fleet.Record{Kind: fleet.RecordRevert, Key: "r2", Of: 4, Number: 2, Target: "t", Version: "2.20.0", Workloads: []fleet.RecordWorkload{batch.Workloads[1]}}
	return RevertBodyInput{
		Record: revert, Batch: batch, PullRequest: fleet.PullRequest{Number: 4, MergeRevision: strings.Repeat("2", 40)}, Evidence: "full",
		Superseded: map[fleet.ID]fleet.Reason{id("stock"): {Code: fleet.CodeSuperseded, Message: "a person changed its image since"}},
	}
}

// visible is a body without its hidden record, whose bytes are the ledger's.
func visible(t *testing.T, body string) string {
	t.Helper()
	if _, err := ledger.Decode(body); err != nil {
		t.Errorf("the body holds no record: %v", err)
	}
	text, _, _ := strings.Cut(body, "<!-- otelshift:record ")
	if strings.Count(body, "<!--") != 1 {
		t.Errorf("the body has %d comments, want the record's", strings.Count(body, "<!--"))
	}
	return text
}

func TestGolden(t *testing.T) {
	t.Parallel()
	record := someRecord()
	batch := BatchBodyInput{
		Record: record, Members: []fleet.Planned{planned("cart"), planned("order")}, Target: somePlan().Target, Spec: config.Default().Spec,
	}
	ungated := batch
	ungated.Record.Ungated = true
	for i := range ungated.Record.Workloads {
		ungated.Record.Workloads[i].Action = fleet.ActionMigrate
	}
	revert := revertInput()
	for name, got := range map[string]string{
		"plan.txt":        PlanText(somePlan(), Style{}),
		"plan_color.txt":  PlanText(somePlan(), Style{Color: true}),
		"plan_narrow.txt": PlanText(somePlan(), Style{Width: 60}),
		"plan.md":         PlanMarkdown(somePlan()),
		"plan_empty.txt":  PlanText(fleet.Plan{}, Style{}),
		"fleet.txt":       FleetText(someFleet(), Style{}),
		"fleet_color.txt": FleetText(someFleet(), Style{Color: true, Width: 72}),
		"fleet.md":        FleetMarkdown(someFleet()),
		"batch.md":        BatchTitle(record) + "\n\n" + visible(t, BatchBody(batch)),
		"ungated.md":      visible(t, BatchBody(ungated)),
		"revert.md":       RevertTitle(revert.Record) + "\n\n" + visible(t, RevertBody(revert)),
		"verdict.md":      VerdictComment(record),
		"image.txt": ImageText(fleet.ImageInfo{
			Reference: "registry.example/shop/cart:1.4", Digest: "sha256:ab", MediaType: "application/vnd.oci.image.manifest.v1+json", Platforms: []string{"linux/amd64", "linux/arm64"},
			Env: []string{"CATALINA_OPTS=-javaagent:/sw/skywalking-agent.jar"}, Entrypoint: []string{"/bin/sh", "start.sh"}, User: "1000",
			Labels: map[string]string{"b": "2", "a": "1"}, Base: &fleet.ImageBase{Name: "registry.example/shop/cart:1.4", Digest: "sha256:cd", AgentVersion: "2.20.0"},
			Loads: []fleet.ImageLoad{{Agent: javaagent.SkyWalking, Where: "Env CATALINA_OPTS", Value: "-javaagent:/sw/skywalking-agent.jar", Jar: "/sw/skywalking-agent.jar"}},
			Contents: &fleet.ImageContents{
				Agents: []fleet.ImageAgent{{Directory: "/sw", Version: "8.16.0", Settings: []string{"agent.service_name=carts", "agent.authentication=***"}, Certificate: true, Config: "hunter2"}},
				Toolkit: []fleet.ImageToolkit{
					{Library: "apm-toolkit-meter", UsedBy: []string{"a", "b", "c", "d", "e", "f", "g"}},
					{Library: "apm-toolkit-trace-8.9.0.jar", Where: []string{"/app/cart.jar"}},
				},
				Texts: []fleet.ImageText{{Where: "/run.sh:3", Text: "cp -r /sw /tmp"}},
				Java:  []fleet.ImageJava{{Home: "/usr/lib/jvm/java-17", Version: "17.0.15"}},
			},
			Warnings: []fleet.Warning{{Code: fleet.CodePreflight, Message: "/app/pay.jar (it ends too early) was not read"}},
		}),
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, got)
			if strings.Contains(got, "hunter2") {
				t.Errorf("%s shows a secret", name)
			}
			if strings.HasSuffix(name, ".md") {
				tables(t, got)
			}
		})
	}
}

// tables checks that every row has as many cells as its table's head.
func tables(t *testing.T, markdown string) {
	t.Helper()
	want, fenced := 0, false
	for line := range strings.Lines(markdown) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if fenced || !strings.HasPrefix(line, "|") {
			want = 0
			continue
		}
		if n := columns(line); want == 0 {
			want = n
		} else if n != want || !strings.HasSuffix(line, "|") {
			t.Errorf("a row of %d cells in a table of %d: %s", n, want, line)
		}
	}
}

// prose is Markdown without its code blocks and code spans.
func prose(markdown string) string {
	var text strings.Builder
	marks := ""
	for line := range strings.Lines(markdown) {
		rest := strings.TrimLeft(line, "`")
		switch run := line[:len(line)-len(rest)]; {
		case marks != "":
			if run == marks && strings.TrimSpace(rest) == "" {
				marks = ""
			}
			continue
		case len(run) > 2 && !strings.Contains(rest, "`"):
			marks = run
			continue
		}
		for rest = line; ; {
			before, after, found := strings.Cut(rest, "`")
			text.WriteString(before)
			if !found {
				break
			}
			tail := strings.TrimLeft(after, "`")
			run := "`" + after[:len(after)-len(tail)]
			at := strings.Index(tail, run) // code never holds a run as long as its marks
			if at < 0 {
				text.WriteString(run)
				rest = tail
				continue
			}
			rest = tail[at+len(run):]
		}
	}
	return text.String()
}

func TestHostileTextsStayInTheirPlaces(t *testing.T) {
	t.Parallel()
	for _, text := range hostile() {
		p := planned("cart")
		p.ID.Name, p.File = text, text
		p.Containers[0].Image.From = text
		p.Containers[0].Options[0] = fleet.Option{From: text, To: text, Note: text, Grade: javaagent.Exact}
		p.Warnings[0].Message = text
		record := someRecord()
		v := failed()
		v.Message, v.Evidence[0].Pod, v.Evidence[0].Log, v.Evidence[0].Reason = text, text, []string{text}, text
		record.Workloads[1].Verdict = &v
		revert := revertInput()
		revert.Batch = record
		revert.Superseded = map[fleet.ID]fleet.Reason{p.ID: {Message: text}}
		state := someFleet()
		state.Workloads[1].Verdict, state.Paused.Reason, state.Remaining[0].What, state.Workloads[0].ID = &v, text, text, p.ID
		state.Workloads[2].Reason.Message = text
		plan := somePlan()
		plan.Workloads[0] = p
		plan.Workloads[2].Reason.Message = text
		plan.Files[0].Reason.Message = text
		for name, got := range map[string]string{
			"batch":     visible(t, BatchBody(BatchBodyInput{Record: record, Members: []fleet.Planned{p}, Spec: config.Default().Spec})),
			"revert":    visible(t, RevertBody(revert)),
			"verdict":   VerdictComment(record),
			"fleet":     FleetMarkdown(state),
			"plan":      PlanMarkdown(plan),
			"fleettext": FleetText(state, Style{}),
			"plantext":  PlanText(plan, Style{}),
		} {
			if strings.Contains(got, "hunter2") || strings.Contains(got, "\x1b") {
				t.Errorf("%s of %q lets it through:\n%s", name, text, got)
			}
			if strings.HasSuffix(name, "text") {
				continue
			}
			tables(t, got)
			if open := prose(got); strings.Contains(open, "<script") || strings.Contains(open, "<img") || strings.Contains(open, "![") || mentions(open) {
				t.Errorf("%s of %q lets it through:\n%s", name, text, open)
			}
		}
		for _, got := range []string{BatchTitle(record), RevertTitle(fleet.Record{Workloads: []fleet.RecordWorkload{{ID: text + strings.Repeat("x", 400)}}})} {
			if strings.ContainsAny(got, "\r\n\x1b") || len([]rune(got)) > maxTitle || !strings.Contains(got, TitleMark) {
				t.Errorf("title %q", got)
			}
		}
	}
}

func TestBodiesFitWhateverTheyHold(t *testing.T) {
	t.Parallel()
	record := fleet.Record{Kind: fleet.RecordBatch, Key: "k", Number: 1, Target: "t", Version: "2.20.0"}
	var members []fleet.Planned
	for i := range 20 {
		p := planned(fmt.Sprintf("app%02d-%s", i, strings.Repeat("x", 40)))
		for k := range 120 {
			p.Containers[0].Options = append(p.Containers[0].Options, fleet.Option{
				From: fmt.Sprintf("-Dskywalking.plugin.%d=%s", k, strings.Repeat("值", 60)), Grade: javaagent.Lost, Note: strings.Repeat("note ", 30),
			})
			p.Warnings = append(p.Warnings, fleet.Warning{Code: fleet.CodeLostOption, Message: fmt.Sprintf("%d of %d is lost: %s", k, i, strings.Repeat("why ", 40))})
		}
		v := failed()
		v.Evidence = nil
		for k := range 3 {
			var log []string
			for line := range 40 {
				log = append(log, fmt.Sprintf("%d.%d.%d %s", i, k, line, strings.Repeat("日志 ", 60)))
			}
			v.Evidence = append(v.Evidence, fleet.Evidence{Pod: fmt.Sprintf("pod-%d", k), Container: "app", Log: log})
		}
		rw := fleet.RecordWorkload{ID: p.ID.String(), Action: p.Action, File: p.File, Verdict: &v}
		for k := range 30 {
			rw.Effects = append(rw.Effects, fleet.RecordEffect{Field: fmt.Sprintf("spec.template.spec.containers[name=%s].env[name=V%d].value", p.ID.Name, k), Old: digestOf(i, k), New: digestOf(k, i)})
		}
		record.Workloads = append(record.Workloads, rw)
		members = append(members, p)
	}
	revert := record
	revert.Kind = fleet.RecordRevert
	for name, body := range map[string]string{
		"batch":  BatchBody(BatchBodyInput{Record: record, Members: members, Spec: config.Default().Spec}),
		"revert": RevertBody(RevertBodyInput{Record: revert, Batch: record, PullRequest: fleet.PullRequest{Number: 4}, Evidence: "full"}),
	} {
		if n := len([]rune(body)); n > maxBody {
			t.Errorf("%s has %d characters, more than %d", name, n, maxBody)
		}
		r, err := ledger.Decode(body)
		if err != nil || len(r.Workloads) != 20 || len(r.Workloads[19].Effects) != 30 {
			t.Errorf("%s: record of %d workloads, %v", name, len(r.Workloads), err)
		}
		if !strings.Contains(body, "not fit here") {
			t.Errorf("%s does not say that something is left out", name)
		}
		tables(t, visible(t, body))
	}
	comment := VerdictComment(record)
	if n := len([]rune(comment)); n > maxBody || strings.Count(comment, "<details>") != strings.Count(comment, "</details>") {
		t.Errorf("the verdict's comment has %d characters, or a fold cut open", n)
	}
}

func TestBatchBodyLeavesRoomForVerdicts(t *testing.T) {
	t.Parallel()
	record := fleet.Record{Kind: fleet.RecordBatch, Key: "k", Number: 1, Target: "t", Version: "2.20.0"}
	var members []fleet.Planned
	for i := range 20 {
		p := planned(fmt.Sprintf("app%02d", i))
		for k := range 60 {
			p.Containers[0].Options = append(p.Containers[0].Options, fleet.Option{From: fmt.Sprintf("-Dskywalking.plugin.%d=x", k), Grade: javaagent.Exact})
		}
		record.Workloads = append(record.Workloads, fleet.RecordWorkload{ID: p.ID.String(), Action: p.Action, File: p.File})
		members = append(members, p)
	}
	body := BatchBody(BatchBodyInput{Record: record, Members: members, Spec: config.Default().Spec})
	judged := failed()
	judged.Evidence[0].Log = nil
	for k := range 10 {
		sum := fleet.HashValue(fmt.Sprint(k))
		for n := range 40 {
			sum += fleet.HashValue(sum + fmt.Sprint(n))
		}
		judged.Evidence[0].Log = append(judged.Evidence[0].Log, sum)
	}
	record.Workloads[3].Verdict = &judged
	body = ledger.ReplaceRecord(body, record)
	if n := len([]rune(body)); n > maxBody {
		t.Errorf("with a verdict the body has %d characters, more than %d", n, maxBody)
	}
	r, err := ledger.Decode(body)
	if err != nil || r.Workloads[3].Verdict == nil || len(r.Workloads[3].Verdict.Evidence) == 0 || len(r.Workloads[3].Verdict.Evidence[0].Log) != 10 {
		t.Errorf("the evidence has no room: %+v, %v", r.Workloads[3].Verdict, err)
	}
}

func digestOf(a, b int) string {
	return fmt.Sprintf("%08x%08x", a*2654435761%4294967296, b*40503%65536)
}

func TestBatchTextFollowsItsAction(t *testing.T) {
	t.Parallel()
	for action, want := range map[fleet.Action]string{
		fleet.ActionMigrate: "moves from SkyWalking", fleet.ActionUpgrade: "is brought to", fleet.ActionRebuild: "gets an image",
	} {
		r := fleet.Record{Kind: fleet.RecordBatch, Key: "k", Number: 1, Version: "2.20.0", Workloads: []fleet.RecordWorkload{{ID: "shop/Deployment/cart", Action: action}}}
		body := BatchBody(BatchBodyInput{Record: r, Members: []fleet.Planned{planned("cart")}, Spec: config.Default().Spec})
		if !strings.Contains(body, want) {
			t.Errorf("the body of %s says %q, want %q", action, strings.SplitN(body, "\n", 2)[0], want)
		}
	}
}

func TestEveryWordIsShownAtAnyWidth(t *testing.T) {
	t.Parallel()
	reason := "容器 pay 的启动参数来自 Secret pay-jvm，其中可能加载 SkyWalking：Secret 不会被修改，请把该参数移出 Secret the reason is long and is read to its end"
	p := somePlan()
	for i := range p.Workloads {
		if p.Workloads[i].Reason != nil {
			p.Workloads[i].Reason.Message = reason
		}
	}
	p.Warnings = append(p.Warnings, fleet.Warning{Message: reason})
	squeeze := func(text string) string {
		text = regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(text, "")
		return strings.Join(strings.Fields(text), "")
	}
	want := squeeze(reason)
	for _, columns := range []int{1, 20, 40, 60, 80, 100, 120, 200} {
		for _, style := range []Style{{Width: columns}, {Width: columns, Color: true}} {
			text := PlanText(p, style)
			if got := strings.Count(squeeze(text), want); got < 2 {
				t.Errorf("at %d columns the reason stands there %d times, want every time:\n%s", columns, got, text)
			}
			for line := range strings.Lines(text + FleetText(someFleet(), style)) {
				line = strings.TrimRight(line, "\n")
				if strings.HasSuffix(line, " ") {
					t.Errorf("at %d columns a line ends with blanks: %q", columns, line)
				}
				if strings.Count(line, reset) != strings.Count(line, "\x1b[")-strings.Count(line, reset) {
					t.Errorf("a colour is not ended: %q", line)
				}
				if columns >= 120 && strings.Contains(line, "Secret") && width(line) > columns {
					t.Errorf("a line of %d columns where there are %d: %q", width(line), columns, line)
				}
			}
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	rows := []struct {
		text    string
		columns int
		want    []string
	}{
		{"", 10, []string{""}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"registry.example/shop/cart:1 x", 8, []string{"registry.example/shop/cart:1", "x"}},
		{"库存服务没有就绪。", 8, []string{"库存服务", "没有就", "绪。"}},
		{"镜像 cart:1.4 缺少", 9, []string{"镜像", "cart:1.4", "缺少"}},
		{"a  b", 10, []string{"a  b"}},
	}
	for _, row := range rows {
		if diff := cmp.Diff(row.want, wrap(row.text, row.columns)); diff != "" {
			t.Errorf("wrap(%q, %d) (-want +got):\n%s", row.text, row.columns, diff)
		}
	}
}
