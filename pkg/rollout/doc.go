// Package rollout judges a rollout: an Observation, an Expectation and a
// Baseline go in, a Verdict comes out. It is pure: no cluster, no clock. Every
// row of the verdict table is a branch of Judge, in the table's order; only
// "failed" ever leads to a revert, so whatever is not understood is unknown,
// inconclusive or needs-human.
package rollout
