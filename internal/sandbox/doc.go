// Package sandbox is a world in a box: a forge with a manifest repository, a
// registry with the images that its manifests name, and a cluster that follows
// the repository as Argo CD would. The demo shows the whole journey in it, and
// the end-to-end tests drive the real binary through it.
package sandbox
