package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	sandbox "github.com/otelshift/otelshift/internal/sandbox/cluster"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
	"github.com/otelshift/otelshift/pkg/rollout/cluster"
)

// BenchmarkVerificationRun observes and judges 1,000 Deployments of two pods in
// ten namespaces: one operation is what a run takes but for git and the forge.
// It reports requests for all of them and bytes for each.
func BenchmarkVerificationRun(b *testing.B) {
	const workloads, namespaces = 1000, 10
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	files := map[string][]byte{}
	subjects := make([]rollout.Subject, workloads)
	options := sandbox.Options{
		Now: func() time.Time { return now }, Dir: b.TempDir(),
		Source: func(context.Context) (string, map[string][]byte, error) { return "r", files, nil },
	}
	for i := range workloads {
		name, namespace := fmt.Sprintf("app-%03d", i), fmt.Sprintf("ns-%d", i%namespaces)
		files[namespace+"/"+name+".yaml"] = manifest("Deployment", name, "reg/app:1", "-javaagent:/sw/sw.jar", "")
		subjects[i] = rollout.Subject{ID: fleet.ID{Kind: "Deployment", Namespace: namespace, Name: name}, Fields: []string{imageField, optsField}}
	}
	for i := range namespaces {
		name := fmt.Sprintf("ns-%d", i)
		options.Applications = append(options.Applications, sandbox.Application{Name: name, Path: name, Namespace: name})
	}
	world, err := sandbox.Start(b.Context(), options)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = world.Close() }()
	if err := world.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	now = now.Add(time.Minute)
	world.Step(now)
	client, err := cluster.New(cluster.Options{Kubeconfig: world.Kubeconfig(), QPS: 10000, Burst: 10000, Now: options.Now})
	if err != nil {
		b.Fatal(err)
	}
	requests, bytes := 0, 0
	world.Requests()
	for b.Loop() {
		found, err := client.Observe(b.Context(), subjects)
		if err != nil {
			b.Fatal(err)
		}
		if o := found[workloads-1]; o.Err != "" || len(o.Pods) != 2 {
			b.Fatalf("observation = %+v", o)
		}
		for _, o := range found {
			if v := rollout.Judge(o, rollout.Expectation{Merge: "r", Merged: now, Head: rollout.HeadExpected, Contains: map[string]bool{"r": true}}, nil, now); v.State == fleet.VerdictUnknown {
				b.Fatalf("verdict = %+v", v)
			}
		}
		for _, r := range world.Requests() {
			requests++
			bytes += r.Bytes
		}
	}
	b.ReportMetric(float64(requests)/float64(b.N), "requests/run")
	b.ReportMetric(float64(requests)/float64(b.N)/workloads, "requests/workload")
	b.ReportMetric(float64(bytes)/float64(b.N)/workloads, "bytes/workload")
}
