package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Options of a Keychain.
type Options struct {
	// Getenv reads the environment: HOME, DOCKER_AUTH_CONFIG, DOCKER_CONFIG,
	// REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR and XDG_CONFIG_HOME.
	Getenv func(string) string
	// Timeout of a helper program; default 30 seconds.
	Timeout time.Duration
	// Now says how old a helper's answer is; it is good for five minutes. Nil:
	// forever.
	Now func() time.Time
}

// Keychain implements authn.ContextKeychain. It is safe for use by several
// goroutines.
type Keychain struct {
	getenv  func(string) string
	helpers *helpers
}

// New makes a keychain. It reads nothing yet.
func New(o Options) *Keychain {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	return &Keychain{getenv: o.Getenv, helpers: &helpers{timeout: o.Timeout, now: o.Now, asked: map[question]*answer{}}}
}

// Resolve implements authn.Keychain.
func (k *Keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target) //nolint:forbidigo // the interface has no context; ResolveContext is what is called
}

// ResolveContext implements authn.ContextKeychain. A repository has no
// credentials if no place has any: authn.Anonymous, as for public images.
func (k *Keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	places, err := k.places()
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		auth, err := k.ask(ctx, p, target)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", p.name, err)
		}
		if auth != nil {
			return auth, nil
		}
	}
	return authn.Anonymous, nil
}

// ask looks into one place; nil: it has nothing.
func (k *Keychain) ask(ctx context.Context, p place, target authn.Resource) (authn.Authenticator, error) {
	c, err := parse(p.content)
	if err != nil {
		return nil, err
	}
	wanted := keysOf(target)
	if program := c.helper(wanted); program != "" {
		h := &helped{helpers: k.helpers, question: question{program: program, server: serverOf(target.RegistryStr())}}
		switch config, found, err := k.helpers.ask(ctx, h.question); {
		case err != nil:
			return nil, err
		case found && config != (authn.AuthConfig{}):
			return h, nil
		}
		// It has none; the file may.
	}
	entry, found, err := c.entry(wanted)
	if err != nil || !found {
		return nil, err
	}
	return authn.FromConfig(entry), nil
}

// place is where credentials may be.
type place struct {
	name    string // of the file or variable
	content []byte
}

// places that exist, the first to ask first.
func (k *Keychain) places() ([]place, error) {
	var places []place
	if text := k.getenv("DOCKER_AUTH_CONFIG"); text != "" {
		places = append(places, place{name: "DOCKER_AUTH_CONFIG", content: []byte(text)})
	}
	for _, file := range k.files() {
		content, err := os.ReadFile(file) //nolint:gosec // the environment names it
		switch {
		case err == nil:
			places = append(places, place{name: file, content: content})
		case !errors.Is(err, fs.ErrNotExist) && !isDirectory(file):
			return nil, fmt.Errorf("reading the credentials of registries: %w", err)
		}
	}
	return places, nil
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// files that may hold credentials. containers-auth.json(5), "DESCRIPTION".
func (k *Keychain) files() []string {
	var files []string
	add := func(parts ...string) {
		if parts[0] != "" {
			files = append(files, filepath.Join(parts...))
		}
	}
	home := k.getenv("HOME")
	if home == "" {
		home = k.getenv("USERPROFILE")
	}
	if dir := k.getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker", "config.json")
	}
	add(k.getenv("REGISTRY_AUTH_FILE"))
	if dir := k.getenv("XDG_RUNTIME_DIR"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add("/run/containers", strconv.Itoa(os.Getuid()), "auth.json")
	}
	if dir := k.getenv("XDG_CONFIG_HOME"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add(home, ".config", "containers", "auth.json")
	}
	return files
}
