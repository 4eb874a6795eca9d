// Package cluster is a Kubernetes cluster in a box: an API that client-go
// talks to over TLS on loopback, controllers and a kubelet that roll templates
// out over time, and an Argo CD-like syncer that applies a repository. Nothing
// runs: a scenario's Behaviour decides how each pod fares. Time comes from the
// caller, so a test steps through an hour without waiting, and the demo passes
// the wall clock and a tick.
//
// It is not an API server: no admission, no watch, no schema validation. Writes
// are create, replace, merge patch and delete.
//
//	world, err := cluster.Start(ctx, cluster.Options{Now: clock.Now, Source: head,
//		Applications: []cluster.Application{{Name: "shop", Path: "apps/shop", Namespace: "shop"}}})
//	err = world.Sync(ctx)                     // apply the head of the repository
//	world.Step(clock.Advance(time.Minute))    // a minute later
//	config, err := clientcmd.BuildConfigFromFlags("", world.Kubeconfig())
package cluster
