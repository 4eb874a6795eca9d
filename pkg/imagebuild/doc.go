// Package imagebuild makes an image with the OpenTelemetry agent out of one
// without, in the registry: it reads the base's manifest, its configuration
// and the first bytes of a layer, writes one layer, a configuration and a
// manifest, and never holds the image. The layer is the same for every base
// whose parent directories look the same, so a registry stores it once.
//
// The new image gets the agent's directory, the start script, whiteouts for
// the old agent, and the configured entrypoint. Everything else of the base is
// kept byte for byte. The same input makes the same digest, and a tag that
// exists is never written again.
//
// It never extracts anything to disk, never runs anything, and decides nothing
// about workloads: what to remove and which variables to edit come with the
// request.
//
//	builder, err := imagebuild.New(imagebuild.Options{
//		Agent:       imagebuild.Source{FS: dir, File: "opentelemetry-javaagent.jar"},
//		Version:     "2.20.0",
//		Directory:   "/otel",
//		TagTemplate: "{{.Tag}}-otel-{{.Hash}}",
//		RemoveAuto:  true,
//	})
//	built, err := builder.Build(ctx, fleet.Rebuild{
//		From: "registry.example.com/shop/cart:1.4", Remove: []string{"/home/admin/skywalking-agent"},
//	})
package imagebuild
