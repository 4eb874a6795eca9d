package main

import (
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
)

// What waits is never called nothing.
func TestProposeTextSaysWhatWaits(t *testing.T) {
	unseen := migrate.Blocked{
		ID:     fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"},
		Reason: fleet.Reason{Code: fleet.CodeUnobserved, Message: "the cluster could not be asked"},
	}
	tests := []struct {
		name   string
		result migrate.ProposeResult
		want   string
	}{
		{"nothing is there", migrate.ProposeResult{}, "nothing is left to propose\n"},
		{
			"the cluster did not answer",
			migrate.ProposeResult{Blocked: []migrate.Blocked{unseen}},
			"blocked shop/Deployment/cart (unobserved): the cluster could not be asked\nnothing new is proposed: 1 workload is held back by what is said above\n",
		},
		{"something holds", migrate.ProposeResult{Hold: &fleet.Pause{Reason: "batch 1 soaks"}}, "nothing new is proposed: batch 1 soaks\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := proposeText(test.result, false); got != test.want {
				t.Errorf("proposeText() = %q, want %q", got, test.want)
			}
		})
	}
}
