// Package credentials finds what registries are told: in DOCKER_AUTH_CONFIG,
// in Docker's configuration, in Podman's auth files, and from the helper
// programs that these name. The first place that has something for a
// repository counts; in a file the most specific entry does
// (registry.example.com/shop before registry.example.com), and a registry's
// own helper counts before the helper for all.
//
// A helper program runs once for all that wait for its answer, is ended with
// them or after the time it is given, what it runs too (on Unix), and holds up
// nobody who needs another.
//
// It stores nothing, writes nothing, and asks no registry.
//
//	keychain := credentials.New(credentials.Options{Getenv: os.Getenv, Now: time.Now})
//	auth, err := authn.Resolve(ctx, keychain, repository)
//
// Sources: Docker's "credential stores" and "credential helpers"
// (https://docs.docker.com/reference/cli/docker/login/), containers-auth.json(5).
package credentials
