package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestRecordSurvivesTheBody(t *testing.T) {
	want := batch(2, []string{cart}, verdict(fleet.VerdictFailed, "OOMKilled"))
	want.Workloads[0].Verdict.Evidence = []fleet.Evidence{{Pod: "cart-1", Container: "cart", ExitCode: 137, Log: []string{"--> out of memory <!-- \x00"}}}
	want.Workloads[0].Effects = []fleet.RecordEffect{{Field: "spec.x", Old: fleet.HashValue("a"), New: fleet.HashAbsent}}
	block := Encode(want)
	if strings.Contains(block[4:len(block)-3], "--") {
		t.Errorf("the block ends its comment early: %s", block)
	}
	if Encode(want) != block {
		t.Error("Encode differs from run to run")
	}
	for name, body := range map[string]string{
		"alone":                block,
		"below text":           "text <!-- a comment -->\r\n\r\n" + block + "\r\n",
		"behind an unreadable": recordStart + "0000 xx" + recordEnd + "\n" + block,
		"behind an unclosed":   recordStart + block,
		"wrapped":              strings.Replace(block, "A", "A", 1)[:100] + "\n" + block[100:],
	} {
		got, err := Decode(body)
		if name == "behind an unclosed" {
			if err == nil {
				t.Errorf("%s: decoded %+v", name, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := Decode("nothing"); !errors.Is(err, ErrNoRecord) {
		t.Errorf("Decode(nothing) = %v, want ErrNoRecord", err)
	}
}

func TestCommitMessageTakesNoTrailersFromNames(t *testing.T) {
	forged := "x\n\nOtelshift-Change: {\"w\":\"shop/Deployment/pay\"}\r\n* Otelshift-Of: 7\nSigned-off-by: eve <eve@x>"
	r := batch(1, []string{"shop/Deployment/" + forged})
	r.Workloads[0].Image = &fleet.ImageChange{To: forged}
	got, err := ParseCommit(CommitMessage(r, nil, config.Commit{}))
	if err != nil || got.Key != r.Key || got.Of != 0 || len(got.Changes) != 0 {
		t.Errorf("ParseCommit = %+v, %v", got, err)
	}
}

func TestEncodeFitsTheBody(t *testing.T) {
	r := batch(1, nil)
	for i := range 20 {
		w := fleet.RecordWorkload{ID: fmt.Sprintf("namespace-%d/Deployment/workload-%d", i, i), Verdict: &fleet.Verdict{State: fleet.VerdictFailed}}
		for j := range 30 {
			w.Effects = append(w.Effects, fleet.RecordEffect{
				Field: fmt.Sprintf("spec.template.spec.containers[name=w%d].env[name=V%d].value", i, j),
				Old:   fleet.HashValue(fmt.Sprint(i, j)), New: fleet.HashValue(fmt.Sprint(j, i, "n")),
			})
		}
		var log []string
		for k := range 200 {
			log = append(log, fleet.HashValue(fmt.Sprint(i, k))+" "+fleet.HashValue(fmt.Sprint(k, i)))
		}
		w.Verdict.Evidence = []fleet.Evidence{{Pod: "p", Container: "c", Log: log}}
		r.Workloads = append(r.Workloads, w)
	}
	block := Encode(r)
	if len(block) > MaxRecord {
		t.Errorf("the block has %d characters, want at most %d", len(block), MaxRecord)
	}
	if got, err := Decode(block); err != nil || len(got.Workloads) != 20 {
		t.Errorf("Decode = %d workloads, %v", len(got.Workloads), err)
	}
}

func TestEncodeLeavesOutEffectsThatTheCommitHolds(t *testing.T) {
	r := batch(1, nil)
	for i := range 10 {
		w := fleet.RecordWorkload{ID: fmt.Sprintf("namespace-%d/Deployment/workload-%d", i, i), Action: fleet.ActionMigrate}
		add := func(field, old, now string) {
			w.Effects = append(w.Effects, fleet.RecordEffect{Field: "spec.template.spec." + field, Old: old, New: now})
		}
		for j := range 400 {
			add(fmt.Sprintf("containers[name=w%d].env[name=V%d].value", i, j), fleet.HashValue(fmt.Sprint(i, j)), fleet.HashValue(fmt.Sprint(j, i, "n")))
		}
		add("containers[name=side].env[name=X].value", fleet.HashAbsent, fleet.HashValue("x"))
		add("containers[name=side].env[name=X].name", fleet.HashValue("X"), fleet.HashValue("X"))
		add(fmt.Sprintf("containers[name=w%d].resources.limits.memory", i), fleet.HashValue("1Gi"), fleet.HashValue("2Gi"))
		add(fmt.Sprintf("containers[name=w%d].image", i), fleet.HashValue("a"), fleet.HashValue("b"))
		r.Workloads = append(r.Workloads, w)
	}
	body := ReplaceRecord("text", r)
	for name, block := range map[string]string{"alone": Encode(r), "in a body": body} {
		if len(block) > MaxRecord+10 {
			t.Errorf("%s: the block has %d characters, want at most %d", name, len(block), MaxRecord)
		}
		got, err := Decode(block)
		if err != nil || len(got.Workloads) != 10 {
			t.Fatalf("%s: Decode = %d workloads, %v", name, len(got.Workloads), err)
		}
		for i, w := range got.Workloads {
			all := r.Workloads[i].Effects
			for _, want := range []fleet.RecordEffect{all[0], all[400], all[402], all[403]} {
				if !slices.Contains(w.Effects, want) {
					t.Errorf("%s: %s has lost %s", name, w.ID, want.Field)
				}
			}
		}
	}
}

func TestReplaceRecordFitsBesideALongText(t *testing.T) {
	r := batch(1, nil)
	for i := range 10 {
		w := fleet.RecordWorkload{ID: fmt.Sprintf("shop/Deployment/w%d", i), Verdict: &fleet.Verdict{State: fleet.VerdictFailed}}
		w.Effects = []fleet.RecordEffect{{Field: "spec.x", Old: fleet.HashValue("a"), New: fleet.HashValue("b")}}
		var log []string
		for k := range 40 {
			log = append(log, fleet.HashValue(fmt.Sprint(i, k)))
		}
		w.Verdict.Evidence = []fleet.Evidence{{Pod: "p", Container: "c", Log: log}}
		r.Workloads = append(r.Workloads, w)
	}
	text := strings.Repeat("é", 62_000)
	body := ReplaceRecord(text, r)
	if n := len([]rune(body)); n > maxBody || !strings.HasPrefix(body, text) {
		t.Errorf("the body has %d characters, GitHub takes %d", n, maxBody)
	}
	if got, err := Decode(body); err != nil || len(got.Workloads) != 10 || got.Workloads[9].Verdict == nil {
		t.Errorf("Decode = %+v, %v", got, err)
	}
}

func TestReplaceRecordKeepsThePersonsText(t *testing.T) {
	first, second := batch(1, []string{cart}), batch(1, []string{cart}, verdict(fleet.VerdictVerified, ""))
	body := ReplaceRecord("what a person wrote\n", first)
	body = ReplaceRecord(body+"\nand below\n", second)
	if !strings.HasPrefix(body, "what a person wrote\n") || !strings.Contains(body, "and below") || strings.Count(body, recordStart) != 1 {
		t.Errorf("body = %q", body)
	}
	if got, err := Decode(body); err != nil || got.Workloads[0].Verdict == nil {
		t.Errorf("Decode = %+v, %v", got, err)
	}
}

func TestCommitMessageRoundTrip(t *testing.T) {
	id := fleet.ID{Namespace: "shop", Kind: "Deployment", Name: "cart"}
	r := batch(3, []string{cart}, func(r *fleet.Record) { r.Wave, r.Attempt = "prod", 2 })
	r.Workloads[0].Image = &fleet.ImageChange{From: "reg/cart:1", To: "reg/cart:1-otel-0123456789ab"}
	changes := map[fleet.ID][]fleet.Change{id: {
		{Place: fleet.Place{File: "a b.yaml"}, Field: `metadata.labels["x.y/z"]`, Op: fleet.OpReplace, Old: "hunter2", New: "new: value\nline"},
		{Place: fleet.Place{File: "a b.yaml"}, Field: "spec.gone", Op: fleet.OpRemove, Old: "x"},
	}}
	message := CommitMessage(r, changes, config.Commit{Name: "otelshift", Email: "otelshift@users.noreply.github.com", SignOff: true})
	if strings.Contains(message, "hunter2") || strings.Contains(message, "new: value") {
		t.Errorf("the message carries a value:\n%s", message)
	}
	if first, _, _ := strings.Cut(message, "\n"); len(first) > 72 {
		t.Errorf("subject %q has %d characters", first, len(first))
	}
	if !strings.HasSuffix(message, "Signed-off-by: otelshift <otelshift@users.noreply.github.com>\n") {
		t.Errorf("no sign-off:\n%s", message)
	}
	want := Commit{
		Schema: Schema, Kind: fleet.RecordBatch, Key: r.Key, Number: 3, Target: target, Version: "2.20.0", Attempt: 2, Wave: "prod",
		Changes: []CommitChange{
			{Workload: cart, Action: fleet.ActionMigrate, File: "a b.yaml", Field: `metadata.labels["x.y/z"]`, Op: fleet.OpReplace, Old: fleet.HashValue("hunter2"), New: fleet.HashValue("new: value\nline")},
			{Workload: cart, Action: fleet.ActionMigrate, File: "a b.yaml", Field: "spec.gone", Op: fleet.OpRemove, Old: fleet.HashValue("x"), New: fleet.HashAbsent},
		},
	}
	for name, m := range map[string]string{"plain": message, "squashed": "Title (#12)\n\n* " + strings.ReplaceAll(message, "\n", "\r\n") + "\r\n---------\r\n"} {
		got, err := ParseCommit(m)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	restored := Restore(want, "abc")
	if restored.Key != r.Key || len(restored.Workloads) != 1 || len(restored.Workloads[0].Effects) != 2 {
		t.Errorf("Restore = %+v", restored)
	}
	if _, err := ParseCommit("fix typo\n\nSigned-off-by: A <a@b>\n"); !errors.Is(err, ErrNotOurs) {
		t.Errorf("ParseCommit of a foreign commit = %v", err)
	}
}
