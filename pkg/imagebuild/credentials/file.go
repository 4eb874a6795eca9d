package credentials

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// hubServer is what Docker Hub is called in Docker's configuration, and what
// helpers are asked for it, for historical reasons.
const hubServer = "https://index.docker.io/v1/"

// file is Docker's configuration, as far as it is about credentials, and
// Podman's auth.json.
type file struct {
	Auths       map[string]entry  `json:"auths"`
	CredHelpers map[string]string `json:"credHelpers"`
	CredsStore  string            `json:"credsStore"`
}

// entry is what a file says of a registry or of a part of it. Empty ones mark
// what a helper keeps.
type entry struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"` // base64 of username:password
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func parse(content []byte) (file, error) {
	var f file
	if len(strings.TrimSpace(string(content))) == 0 {
		return f, nil // made and not filled yet
	}
	if err := json.Unmarshal(content, &f); err != nil {
		return f, fmt.Errorf("no credentials of registries in it: %w", err)
	}
	return f, nil
}

// keysOf lists what a file may call the target, the most specific first:
// registry.example.com/shop/cart, registry.example.com/shop,
// registry.example.com. containers-auth.json(5), "FORMAT".
func keysOf(target authn.Resource) []string {
	registry := strings.ToLower(target.RegistryStr())
	inside := strings.TrimPrefix(strings.TrimPrefix(target.String(), target.RegistryStr()), "/")
	var keys []string
	for inside != "" {
		keys = append(keys, registry+"/"+inside)
		cut := strings.LastIndexByte(inside, '/')
		inside = inside[:max(cut, 0)]
	}
	return append(keys, registry)
}

// normal is a key of a file as keysOf has it: Docker writes addresses, and
// Docker Hub has several names.
func normal(key string) string {
	stripped, isURL := strings.CutPrefix(key, "https://")
	if !isURL {
		stripped, isURL = strings.CutPrefix(key, "http://")
	}
	host, inside, _ := strings.Cut(strings.TrimSuffix(stripped, "/"), "/")
	host = strings.ToLower(host)
	switch host {
	case "docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		host = name.DefaultRegistry
	}
	if isURL || inside == "" || inside == "v1" || inside == "v2" {
		return host
	}
	return host + "/" + inside
}

// serverOf is what a helper is asked.
func serverOf(registry string) string {
	if registry == name.DefaultRegistry {
		return hubServer
	}
	return registry
}

// match finds the best key for a target; of several spellings of one the
// first by the alphabet, so that it is the same every time.
func match[T any](entries map[string]T, wanted []string, use func(T) bool) (key string, found bool) {
	for _, want := range wanted {
		var spellings []string
		for key, value := range entries {
			if normal(key) == want && use(value) {
				spellings = append(spellings, key)
			}
		}
		if len(spellings) > 0 {
			return slices.Min(spellings), true
		}
	}
	return "", false
}

// helper is the program that keeps the target's credentials; empty: none. A
// registry whose helper is the empty text has none, whatever the one for all
// is.
func (f file) helper(wanted []string) string {
	if key, ok := match(f.CredHelpers, wanted, func(string) bool { return true }); ok {
		return f.CredHelpers[key]
	}
	return f.CredsStore
}

// entry is the target's own.
func (f file) entry(wanted []string) (authn.AuthConfig, bool, error) {
	key, ok := match(f.Auths, wanted, func(e entry) bool { return e != (entry{}) })
	if !ok {
		return authn.AuthConfig{}, false, nil
	}
	e := f.Auths[key]
	c := authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth != "" {
		var err error
		if c.Username, c.Password, err = decode(e.Auth); err != nil {
			return authn.AuthConfig{}, false, fmt.Errorf("auth of %q: %w", key, err)
		}
	}
	return c, true, nil
}

var errAuth = errors.New("want the base64 of user:password")

func decode(auth string) (user, password string, err error) {
	data, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(auth), "="))
	if err != nil {
		return "", "", errAuth // the decoder's error would show a part of it
	}
	user, password, ok := strings.Cut(string(data), ":")
	if !ok || user == "" {
		return "", "", errAuth
	}
	return user, strings.Trim(password, "\x00"), nil
}
