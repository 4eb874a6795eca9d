// Package fleet holds the nouns that otelshift's packages exchange: workloads
// as they are found, what a plan says of them, images, pull requests, verdicts
// and the state of the whole fleet. They are values: no package variable, no
// I/O, no clock. Types with JSON tags are the output contract
// otelshift.dev/v1alpha1; within it changes are additive only.
//
//	id := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"}
//	id.String() // "shop/Deployment/cart"
package fleet
