package ledger

import (
	"errors"
	"fmt"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestACommitIsBackedByARecordThatSaysTheSame: whoever has a change merged can
// write trailers like ours, so each of them has to be in the record.
func TestACommitIsBackedByARecordThatSaysTheSame(t *testing.T) {
	record := fleet.Record{
		Kind: fleet.RecordRevert, Key: "k", Number: 2, Of: 7, Target: "t", Attempt: 1,
		Workloads: []fleet.RecordWorkload{{ID: "shop/Deployment/cart", Action: fleet.ActionMigrate, Options: []string{"a"}}},
	}
	commit := func(edit func(*Commit)) Commit {
		c := Commit{
			Kind: fleet.RecordRevert, Key: "k", Number: 2, Of: 7, Target: "t", Attempt: 1,
			Changes: []CommitChange{{Workload: "shop/Deployment/cart", Action: fleet.ActionMigrate}},
			Options: []CommitOptions{{Options: []string{"a"}, Workloads: []string{"shop/Deployment/cart"}}},
		}
		edit(&c)
		return c
	}
	if !commit(func(*Commit) {}).Backed(record) {
		t.Error("the same is not backed")
	}
	for what, edit := range map[string]func(*Commit){
		"kind":            func(c *Commit) { c.Kind = fleet.RecordBatch },
		"key":             func(c *Commit) { c.Key = "other" },
		"number":          func(c *Commit) { c.Number = 3 },
		"pull request":    func(c *Commit) { c.Of = 8 },
		"target":          func(c *Commit) { c.Target = "other" },
		"attempt":         func(c *Commit) { c.Attempt = 2 },
		"action":          func(c *Commit) { c.Changes[0].Action = fleet.ActionUpgrade },
		"workload":        func(c *Commit) { c.Changes[0].Workload = "shop/Deployment/pay" },
		"options":         func(c *Commit) { c.Options[0].Options = []string{"b"} },
		"options' owners": func(c *Commit) { c.Options[0].Workloads = []string{"shop/Deployment/pay"} },
	} {
		if commit(edit).Backed(record) {
			t.Errorf("a commit of another %s is backed", what)
		}
	}
}

// TestNumbersOfTrailersAreOurs: the next batch's is one more, whoever wrote it.
func TestNumbersOfTrailersAreOurs(t *testing.T) {
	for text, want := range map[string]bool{"0": true, "7": true, fmt.Sprint(MaxNumber - 1): true, fmt.Sprint(MaxNumber): false, "9223372036854775807": false, "-1": false, "x": false} {
		for _, key := range []string{trailerSchema, trailerNumber, trailerOf, trailerAttempt} {
			_, err := ParseCommit("x\n\n" + key + ": " + text + "\n")
			if read := err == nil || errors.Is(err, ErrNotOurs); read != want { // alone it is no record
				t.Errorf("%s: %s: %v", key, text, err)
			}
		}
	}
}
