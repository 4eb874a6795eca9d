package ledger

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// fuzzed is a record of what a fuzzer gives; text that is not UTF-8 is in no
// manifest that was read.
func fuzzed(revert bool, number int, key, name, version, wave, file, value string) (fleet.Record, map[fleet.ID][]fleet.Change) {
	text := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
	id := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: text(name)}
	r := fleet.Record{
		Schema: Schema, Kind: fleet.RecordBatch, Key: key, Number: number, Target: "t", Version: text(version), Wave: text(wave),
		Workloads: []fleet.RecordWorkload{{
			ID: id.String(), Action: fleet.ActionMigrate, File: text(file), Options: []string{text(value)},
			Image:   &fleet.ImageChange{From: text(name), To: text(value)},
			Effects: []fleet.RecordEffect{{Field: text(file), Old: text(name), New: text(value)}},
			Verdict: &fleet.Verdict{State: fleet.VerdictFailed, Message: text(value), Evidence: []fleet.Evidence{{Pod: text(name), Log: []string{text(value)}}}},
		}},
	}
	if revert {
		r.Kind, r.Of, r.Workloads[0].Options = fleet.RecordRevert, number, nil
	}
	return r, map[fleet.ID][]fleet.Change{id: {{Place: fleet.Place{File: text(file)}, Field: text(value), Op: fleet.OpReplace, Old: text(name), New: text(value)}}}
}

func addSeeds(f *testing.F) {
	f.Helper()
	f.Add(false, 3, "cart", "2.20.0", "prod", "apps/cart.yaml", "-Da=b")
	f.Add(true, 3, "cart\nOtelshift-Key: forged", "2\r\nOtelshift-Kind: revert", "a\u2028Otelshift-Batch: 9", "x\n* Otelshift-Key: y", "<!-- otelshift:record -->")
	f.Add(false, -1, "* Otelshift-Key: x", "\u0085Otelshift-Target: z", " * Otelshift-Schema: 7", "{\"w\":1}", "--> <!-- otelshift:record")
}

// FuzzCommitMessage: whatever names and values hold, a commit's trailers say
// what the record says, and squashed or indented they still do.
func FuzzCommitMessage(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, revert bool, number int, name, version, wave, file, value string) {
		const key = "0123456789ab"
		r, changes := fuzzed(revert, max(number, 0)%MaxNumber, key, name, version, wave, file, value)
		message := CommitMessage(r, changes, config.Commit{Name: "a", Email: "b", SignOff: true})
		want := Commit{
			Schema: Schema, Kind: r.Kind, Key: key, Number: r.Number, Of: r.Of, Target: "t",
			Version: strings.TrimSpace(oneLine(r.Version)), Wave: strings.TrimSpace(oneLine(r.Wave)),
			Changes: []CommitChange{{
				Workload: r.Workloads[0].ID, Action: fleet.ActionMigrate, File: r.Workloads[0].File, Field: changes[idOf(changes)][0].Field, Op: fleet.OpReplace,
				Old: fleet.HashValue(changes[idOf(changes)][0].Old), New: fleet.HashValue(changes[idOf(changes)][0].New),
			}},
			Options: optionsOf(r),
		}
		squashed := "Title (#7)\n\n* " + strings.ReplaceAll(message, "\n", "\n  ") + "\n\n---------\n\nCo-authored-by: x <y>\n"
		for _, text := range []string{message, squashed, strings.ReplaceAll(message, "\n", "\r\n")} {
			got, err := ParseCommit(text)
			if err != nil {
				t.Fatalf("ParseCommit: %v\n%q", err, text)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("commit (-want +got):\n%s\n%q", diff, text)
			}
		}
	})
}

func idOf(changes map[fleet.ID][]fleet.Change) (id fleet.ID) {
	for id = range changes {
		return id
	}
	return id
}

// FuzzRecord: a record comes back out of any body that people left around it.
func FuzzRecord(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, revert bool, number int, name, version, wave, file, value string) {
		r, _ := fuzzed(revert, number, "0123456789ab", name, version, wave, file, value)
		before := strings.ReplaceAll(strings.ToValidUTF8(value+"\n"+file, ""), recordStart, "")
		if len(before) > 10_000 || len(name)+len(value)+len(file) > 10_000 {
			return
		}
		for _, body := range []string{ReplaceRecord(before, r), before + "\n" + Encode(r) + name, ReplaceRecord(ReplaceRecord(before, fleet.Record{Kind: r.Kind, Key: "old"}), r)} {
			got, err := Decode(body)
			if err != nil {
				t.Fatalf("Decode: %v\n%q", err, body)
			}
			if diff := cmp.Diff(r, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("record (-want +got):\n%s", diff)
			}
			if !utf8.ValidString(body) && utf8.ValidString(before+name) {
				t.Fatal("the body is not UTF-8")
			}
		}
	})
}
