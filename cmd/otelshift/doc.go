// Command otelshift moves a fleet of Java workloads from the SkyWalking agent
// to the OpenTelemetry Java agent, through pull requests on the repository that
// Argo CD deploys from.
//
// This package turns flags into calls and errors into exit codes; it decides
// nothing about workloads. main.go is the only place that touches the process
// (arguments, environment, exit), wire.go the only one that constructs what
// reaches out to git, registries, the forge and clusters. Every command is one
// constructor in one file, listed in commands.
//
//	otelshift plan --dir .
//	otelshift demo
package main
