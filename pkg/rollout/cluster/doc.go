// Package cluster observes workloads in Kubernetes clusters: workload,
// revisions, pods, and the Argo CD Application that deploys it, one snapshot
// per workload, for package rollout to judge. It reads; it never writes, never
// watches and never reads a Secret. Whatever it could not read is said in
// Observation.Err, so that nothing is concluded from what is missing.
//
//	c, err := cluster.New(cluster.Options{
//		Clusters: []cluster.Target{{Name: "prod", Context: "prod-eu"}}, RepositoryURL: url, Now: clock,
//	})
//	observations, err := c.Observe(ctx, subjects)
package cluster
