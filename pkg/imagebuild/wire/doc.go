// Package wire speaks the registry protocol with as few requests as it allows:
// manifests and blobs as bytes, ranges of blobs, blobs that are there already
// or can be mounted are never sent again, one ping per registry and one token
// per repository, and a retry that does what Retry-After says.
//
// It knows nothing of images: what a manifest means is imagebuild's matter. It
// uses go-containerregistry's names, authentication and token transport, and
// none of its remote package, which needs two to three times the requests.
//
//	client := wire.New(wire.Options{Keychain: authn.DefaultKeychain})
//	repo, err := client.Open("registry.example.com/shop/cart", wire.Push)
//	manifest, err := repo.Manifest(ctx, "1.4")
//	err = repo.Ensure(ctx, blob)
//	err = repo.PutManifest(ctx, "1.4-otel", manifest.MediaType, body)
package wire
