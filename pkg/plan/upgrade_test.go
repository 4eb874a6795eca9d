package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// TestUpgradesTakeOutWhatTheConfigurationHasNoMore goes from a migration over
// its pull request to the upgrade after the configuration has changed.
func TestUpgradesTakeOutWhatTheConfigurationHasNoMore(t *testing.T) {
	before := []string{"-Dotel.logs.exporter=none", "-Dotel.propagators=b3", "-Xshare:off"}
	after := []string{"-Dotel.logs.exporter=none"}
	tests := []struct {
		name      string
		placement string
		edit      func(text string) string   // a person's, after the migration
		record    func(*fleet.Record)        // what became of the pull request
		pull      func(p *fleet.PullRequest) // the same, of the pull request
		action    fleet.Action
		want, not []string // substrings of the file after the upgrade
		warning   string
	}{
		{
			name: "options of ours that were removed go", action: fleet.ActionUpgrade,
			want: []string{"-Dotel.logs.exporter=none", "-Dapp=1"}, not: []string{"otel.propagators", "-Xshare"},
		},
		{
			name: "entries of ours that were removed go", placement: "env", action: fleet.ActionUpgrade,
			want: []string{"OTEL_LOGS_EXPORTER", "-Dapp=1"}, not: []string{"OTEL_PROPAGATORS", "-Xshare"},
		},
		{
			name: "what a person added stays", action: fleet.ActionUpgrade,
			edit: func(text string) string {
				return strings.Replace(text, "-Dapp=1", "-Dapp=1 -Dotel.traces.sampler=always_off", 1)
			},
			want: []string{"-Dotel.traces.sampler=always_off"}, not: []string{"otel.propagators"},
		},
		{
			name: "what a person changed stays and is said", action: fleet.ActionUpgrade, warning: "-Dotel.propagators is no more configured",
			edit: func(text string) string { return strings.Replace(text, "propagators=b3", "propagators=jaeger", 1) },
			want: []string{"-Dotel.propagators=jaeger"}, not: []string{"-Xshare"},
		},
		{
			name: "translated options stay", action: fleet.ActionUpgrade, want: []string{"-Dotel.service.name=cart", "-Dotel.instrumentation.common.default-enabled"},
			edit: func(text string) string {
				return strings.Replace(text, "-Dapp=1", "-Dapp=1 -Dotel.instrumentation.common.default-enabled=true", 1)
			},
		},
		{
			name: "without a record of them nothing is taken out", action: fleet.ActionNone,
			record: func(r *fleet.Record) { r.Workloads[0].Options = nil },
		},
		{
			name: "a pull request that is not merged wrote nothing", action: fleet.ActionNone,
			pull: func(p *fleet.PullRequest) { p.State = fleet.PullRequestClosed },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := settings(func(s *config.Spec) {
				s.Options.Add = before
				if tt.placement != "" {
					s.Options.Placement = tt.placement
				}
			})
			first, tree := scan(t, map[string]string{"cart.yaml": strings.Replace(plainApp, "service_name=cart", "service_name=cart -Dapp=1", 1)})
			in := Input{Config: c, Scan: first, Payload: payload, Images: map[string]fleet.Built{}}
			for _, r := range Wanted(Make(in), -1) {
				in.Images[r.Key()] = fleet.Built{From: r.From, To: r.From + "-otel-" + fleet.BuildHash(payload, "sha256:00", r), Digest: "sha256:" + strings.Repeat("2", 64)}
			}
			p := Make(in)
			text := string(applied(t, tree, p)["cart.yaml"])
			if !strings.Contains(text, "b3") {
				t.Fatalf("the migration wrote no option: %+v\n%s", p.Workloads[0].Reason, text)
			}
			if tt.edit != nil {
				text = tt.edit(text)
			}
			record := fleet.Record{
				Schema: ledger.Schema, Kind: fleet.RecordBatch, Key: "k", Number: 1, Target: TargetHash(c, payload), Version: payload.Version,
				Workloads: []fleet.RecordWorkload{{
					ID: p.Workloads[0].ID.String(), Action: fleet.ActionMigrate, Options: p.Workloads[0].Written,
					Verdict: &fleet.Verdict{State: fleet.VerdictVerified},
				}},
			}
			if tt.record != nil {
				tt.record(&record)
			}
			pull := fleet.PullRequest{Number: 5, State: fleet.PullRequestMerged, Author: "me", FromBase: true, Branch: ledger.Branch("otelshift/", record), Body: ledger.Encode(record)}
			if tt.pull != nil {
				tt.pull(&pull)
			}
			c.Spec.Options.Add = after
			in.Config = c
			l := ledger.Fold(ledger.Input{
				PullRequests: []fleet.PullRequest{pull}, Identity: "me", BranchPrefix: "otelshift/", TargetHash: TargetHash(c, payload), Now: time.Unix(0, 0),
			})
			in.Ledger = &l
			in.Scan, tree = scan(t, map[string]string{"cart.yaml": text})
			p = Make(in)
			w := p.Workloads[0]
			if w.Action != tt.action {
				t.Fatalf("action %s, want %s: %+v", w.Action, tt.action, w.Reason)
			}
			upgraded := text
			if data, changed := applied(t, tree, p)["cart.yaml"]; changed {
				upgraded = string(data)
			}
			for _, want := range tt.want {
				if !strings.Contains(upgraded, want) {
					t.Errorf("%s is gone:\n%s", want, cmp.Diff(text, upgraded))
				}
			}
			for _, not := range tt.not {
				if strings.Contains(upgraded, not) {
					t.Errorf("%s stays:\n%s", not, upgraded)
				}
			}
			said := false
			for _, warning := range w.Warnings {
				said = said || strings.Contains(warning.Message, tt.warning)
			}
			if tt.warning != "" && !said {
				t.Errorf("no warning %q in %+v", tt.warning, w.Warnings)
			}
			if tt.action != fleet.ActionUpgrade {
				return
			}
			// A second round finds nothing to do.
			in.Scan, _ = scan(t, map[string]string{"cart.yaml": upgraded})
			if again := Make(in).Workloads[0]; again.Action != fleet.ActionNone {
				t.Errorf("planned again: %s %+v", again.Action, again.Changes)
			}
		})
	}
}
