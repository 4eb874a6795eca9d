// Package fleet holds the manifests of the demo's fleet: 24 workloads in the
// shape that the script which otelshift replaces used to meet.
package fleet

import "embed"

// Files are the manifest repository's files, slash-separated.
//
//go:embed all:apps all:namespaces all:.github
var Files embed.FS
