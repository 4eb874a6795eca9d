// Package telemetry asks a Prometheus whether a workload's telemetry arrives:
// one query for each service name, read-only. It decides nothing: what absence
// means is package rollout's to say.
//
//	c, err := telemetry.New(telemetry.Options{
//		URL:   "http://prometheus.observability:9090",
//		Query: `traces_spanmetrics_calls_total{service_name="{{.Service}}"}`,
//	})
//	received, err := c.Received(ctx, "cart", workload)
package telemetry
