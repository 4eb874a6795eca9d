// Package manifest finds the workloads of a manifest repository that load an
// agent, says where each value is decided, and applies or inverts changes
// there.
//
// Scan screens bytes before it parses anything and drops each document once it
// is read, so its memory does not grow with the repository. Apply edits through
// yamledit: all changes of one workload apply or none. Invert takes workloads
// back by identity and value, never by line.
//
// It reads an fs.FS and returns bytes; it never writes a file, asks a network
// or knows what an option means.
//
//	result, err := manifest.Scan(ctx, checkout.Files, manifest.Options{})
//	applied, err := manifest.Apply(checkout.Files, groups)
package manifest
