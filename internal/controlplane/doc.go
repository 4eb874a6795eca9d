// Package controlplane starts a real Kubernetes control plane on loopback, for
// tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as
// they are released, and KWOK, which plays the kubelets by Stages of our own
// (stages.go). A pod's fate is an annotation of its template.
//
// The programs are built from tools/controlplane, a module of its own:
//
//	bin=$(tools/controlplane/build .cache/controlplane)
//
//	plane, err := controlplane.Start(ctx, controlplane.Options{Bin: bin, Dir: dir, Nodes: 4})
//	defer plane.Close()
package controlplane
