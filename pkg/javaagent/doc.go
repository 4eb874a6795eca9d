// Package javaagent knows JVM option strings and what the options of the
// SkyWalking and OpenTelemetry Java agents mean: it tokenizes, recognises,
// computes the effective SkyWalking configuration and translates it, with a
// grade for every option. It never reads a manifest or an image: callers hand
// over decoded strings and get strings back.
//
//	out, err := javaagent.Translate(javaagent.Input{
//		Variable: "CATALINA_OPTS",
//		Text:     "-Xmx1g -javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=cart",
//		Dialect:  javaagent.DialectOf("CATALINA_OPTS"),
//		Target:   javaagent.Target{Jar: "/otel/opentelemetry-javaagent.jar", …},
//	})
//	// out.Text: -Xmx1g -javaagent:/otel/opentelemetry-javaagent.jar -Dotel.service.name=cart …
//
// The table of what corresponds to what is data (Rows, Keys, Plugins);
// docs/mapping.md is generated from it.
package javaagent
