// Package plan decides what happens to every workload: whether it is selected,
// how its options translate, which edits its manifest needs, which image it
// gets, and in which batch it goes. It decides only: a plan is a value, made of
// values. It reads no file, asks no registry and writes nothing, and one
// workload that cannot be changed never stops the others: it is in the plan
// with the reason.
//
//	p := plan.Make(plan.Input{Config: cfg, Scan: scanned, Ledger: &folded, Payload: payload})
//	for _, w := range p.Workloads {
//		// w.Action, w.Reason, w.Changes
//	}
//
// What is not known yet (names of rebuilt images, what an image loads, what is
// live) is asked for by Wanted, Unread and InitImage; a second Make with the
// answers gives the complete plan.
package plan
