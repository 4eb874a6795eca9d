// Package registry runs a real image registry inside this process: CNCF
// distribution v3 as a library, on a loopback listener, over a directory or
// memory. The demo pushes to it and the tests of imagebuild judge by it. It
// mounts blobs, answers Range requests and keeps the blobs of repositories
// apart, which go-containerregistry's in-process registry does not.
//
// It counts every request that comes over its listener, can ask for
// credentials, can turn read-only, and lets a test answer requests itself.
// Seed puts synthetic images into it behind its own back: such writes need no
// credentials and are not counted.
//
//	r, err := registry.Start(ctx, registry.Options{})
//	if err != nil {
//		return err
//	}
//	defer r.Close()
//	digest, err := r.Seed(ctx, "shop/cart:1.4", registry.ImageSpec{
//		Layers: []registry.Layer{{{Name: "app/cart.jar", Body: jar}}},
//		Env:    []string{"CATALINA_OPTS=-javaagent:/sw/skywalking-agent.jar"},
//	})
package registry
