// Package kyamlfn holds kyaml filters for one object at a time: Find reads
// where a workload loads an agent, Set applies changes to its nodes. They are
// ordinary yaml.Filter and kio.Filter values, so that a KRM function or a
// kustomize render can use them.
//
// It never reads a file, never looks at another object, and never writes bytes:
// what is written to a repository goes through yamledit.
//
//	find := &kyamlfn.Find{File: "cart.yaml"}
//	if _, err := find.Filter(object); err != nil { … }
//	find.Workloads[0].Loads // every place that loads an agent
package kyamlfn
