package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // Options.Dir
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"   // no Options.Dir
	"github.com/sirupsen/logrus"
)

// Options of a registry. The zero value is an open registry in memory on a
// free port.
type Options struct {
	// Dir keeps the registry's storage, as distribution lays it out; a later
	// Start over the same Dir finds the images again. Empty: memory.
	Dir string
	// Addr to listen on; default "127.0.0.1:0".
	Addr string
	// ReadOnly refuses writes as distribution does in maintenance mode. See
	// also Registry.SetReadOnly.
	ReadOnly bool
	// Auth, if set, is asked of every request.
	Auth *Auth
	// Wrap, if set, sees every request before the registry does (and before
	// Auth): for injecting faults. It is called once.
	Wrap func(next http.Handler) http.Handler
}

// Registry is a running registry.
type Registry struct {
	app      *handlers.App
	server   *http.Server
	listener net.Listener
	done     chan struct{}

	mu       sync.Mutex
	readOnly bool
	requests []Request
}

// Start starts a registry. It stops when Close is called; ctx ends its
// background work only.
func Start(ctx context.Context, o Options) (*Registry, error) {
	app, err := newApp(ctx, o.Dir)
	if err != nil {
		return nil, fmt.Errorf("starting the registry: %w", err)
	}
	addr := o.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the registry: %w", err), app.Shutdown())
	}
	r := &Registry{app: app, listener: listener, done: make(chan struct{}), readOnly: o.ReadOnly}
	handler := r.guard(app)
	if o.Auth != nil {
		handler = newDoor(*o.Auth, handler)
	}
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	r.server = &http.Server{
		Handler:           r.count(handler),
		ReadHeaderTimeout: 10 * time.Second,
		// Aborted handlers and cut connections are what fault tests are made
		// of; nobody wants to read of them.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() {
		defer close(r.done)
		_ = r.server.Serve(listener) // always ErrServerClosed: only Close ends it
	}()
	return r, nil
}

// newApp builds distribution's application. It says what is wrong by panics.
func newApp(ctx context.Context, dir string) (app *handlers.App, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("configuring distribution: %v", p)
		}
	}()
	// distribution logs through logrus' standard logger, which nothing else
	// in this program uses, and its context key for another one is internal.
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)

	config := &configuration.Configuration{
		Storage: configuration.Storage{
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
			"delete":      configuration.Parameters{"enabled": true},
		},
	}
	config.Catalog.MaxEntries = 1000                                // what ggcr asks for at once
	config.Validation.Manifests.URLs.Allow = []string{"^https?://"} // foreign layers
	if dir == "" {
		config.Storage["inmemory"] = configuration.Parameters{}
	} else {
		config.Storage["filesystem"] = configuration.Parameters{"rootdirectory": dir}
	}
	return handlers.NewApp(ctx, config), nil
}

// Host is "127.0.0.1:port": the registry part of references.
func (r *Registry) Host() string { return r.listener.Addr().String() }

// Ref is the full reference of "repository:tag" or "repository@digest" here.
func (r *Registry) Ref(ref string) string { return r.Host() + "/" + ref }

// Close stops the registry at once, open connections included.
func (r *Registry) Close() error {
	err := r.server.Close()
	<-r.done
	if e := r.app.Shutdown(); err == nil {
		err = e
	}
	return err
}

// SetReadOnly switches maintenance mode.
func (r *Registry) SetReadOnly(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readOnly = on
}

// guard answers writes in read-only mode the way distribution does: its
// handlers then know no writing methods.
func (r *Registry) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		readOnly := r.readOnly
		r.mu.Unlock()
		if readOnly && req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, req)
	})
}
