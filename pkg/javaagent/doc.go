// Package javaagent knows JVM option strings and what the options of the
// SkyWalking and OpenTelemetry Java agents mean: it tokenizes, recognises,
// computes the effective SkyWalking configuration and translates it, with a
// grade for every option. It never reads a manifest or an image.
package javaagent
