// Command collector runs the processors of a Collector's configuration, in
// their order, over traces in OTLP's JSON and prints the names of the spans that
// come through, one a line. It is the judge of what "otelshift plan" prints for
// the Collector:
//
//	collector processors.yaml traces.json
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/filterprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"gopkg.in/yaml.v3"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "collector: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: collector processors.yaml traces.json")
	}
	document, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var raw map[string]any
	if err := yaml.Unmarshal(document, &raw); err != nil {
		return fmt.Errorf("reading %s: %w", args[0], err)
	}
	processors, err := confmap.NewFromStringMap(raw).Sub("processors")
	if err != nil {
		return fmt.Errorf("reading %s: %w", args[0], err)
	}
	sink := &consumertest.TracesSink{}
	var next consumer.Traces = sink
	used := 0
	for _, factory := range []processor.Factory{tailsamplingprocessor.NewFactory(), transformprocessor.NewFactory(), filterprocessor.NewFactory()} { // last to first
		for _, key := range keys(processors) {
			var id component.ID
			if err := id.UnmarshalText([]byte(key)); err != nil {
				return err
			}
			if id.Type() != factory.Type() {
				continue
			}
			p, err := start(ctx, factory, id, processors, next)
			if err != nil {
				return fmt.Errorf("processor %s: %w", key, err)
			}
			next = p
			used++
		}
	}
	if all := len(keys(processors)); used != all {
		return fmt.Errorf("%d of %d processors are known", used, all)
	}
	data, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", args[1], err)
	}
	if err := next.ConsumeTraces(ctx, traces); err != nil {
		return err
	}
	// A decision takes its time; it is over when nothing comes any more.
	for seen, quiet := -1, 0; quiet < 3; quiet++ {
		time.Sleep(time.Second)
		if n := sink.SpanCount(); n != seen {
			seen, quiet = n, 0
		}
	}
	for _, name := range names(sink.AllTraces()) {
		fmt.Println(name)
	}
	return nil
}

func keys(c *confmap.Conf) []string {
	var out []string
	for key := range c.ToStringMap() {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

// start makes a processor of its configuration, checked as the Collector checks
// it.
func start(ctx context.Context, factory processor.Factory, id component.ID, all *confmap.Conf, next consumer.Traces) (consumer.Traces, error) {
	part, err := all.Sub(id.String())
	if err != nil {
		return nil, err
	}
	if part.IsSet("decision_wait") {
		if err := part.Merge(confmap.NewFromStringMap(map[string]any{"decision_wait": "1s"})); err != nil {
			return nil, err
		}
	}
	config := factory.CreateDefaultConfig()
	if err := part.Unmarshal(config); err != nil {
		return nil, err
	}
	if err := xconfmap.Validate(config); err != nil {
		return nil, err
	}
	settings := processortest.NewNopSettings(factory.Type())
	settings.ID = id
	p, err := factory.CreateTraces(ctx, settings, config, next)
	if err != nil {
		return nil, err
	}
	return p, p.Start(ctx, componenttest.NewNopHost())
}

func names(all []ptrace.Traces) []string {
	var out []string
	for _, traces := range all {
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					out = append(out, span.Name())
				}
			}
		}
	}
	slices.Sort(out)
	return out
}
