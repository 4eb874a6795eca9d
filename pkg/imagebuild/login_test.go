package imagebuild_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/imagebuild"
	"github.com/otelshift/otelshift/pkg/imagebuild/credentials"
)

// fromHome is the keychain of a user whose only file is Docker's
// configuration, or Podman's auth.json.
func fromHome(t *testing.T, name, content string) func(*imagebuild.Options) {
	t.Helper()
	dir := t.TempDir()
	writeAt(t, filepath.Join(dir, name), content)
	env := map[string]string{"HOME": dir, "XDG_RUNTIME_DIR": dir}
	return func(o *imagebuild.Options) {
		o.Keychain = credentials.New(credentials.Options{Getenv: func(name string) string { return env[name] }})
	}
}

// helperProgram puts a credential helper into PATH that answers for one host.
func helperProgram(t *testing.T, name, host, user, secret string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1 $(cat)\" = 'get %s' ] || { echo 'credentials not found in native keychain'; exit 1; }\necho '{\"ServerURL\":\"%s\",\"Username\":\"%s\",\"Secret\":\"%s\"}'\n", host, host, user, secret)
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// seenAuth records which credentials which host was sent.
type seenAuth struct {
	mu   sync.Mutex
	seen map[string]bool // "host scheme"
	post bool            // a token was asked for by POST
}

func (s *seenAuth) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		host, _, _ := strings.Cut(r.Host, ":")
		s.mu.Lock()
		if scheme != "" {
			s.seen[host+" "+scheme] = true
		}
		s.post = s.post || r.Method == http.MethodPost && r.URL.Path == "/token"
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// TestRegistriesLetInWhomTheirProgramsKnow is how the clouds' helpers answer
// and what their registries then want: ECR takes Basic, Artifact Registry
// exchanges it for tokens, Azure exchanges an identity token by POST, GitLab's
// tokens come from another host.
func TestRegistriesLetInWhomTheirProgramsKnow(t *testing.T) {
	helped := func(name, user, secret string) func(t *testing.T, host string) func(*imagebuild.Options) {
		return func(t *testing.T, host string) func(*imagebuild.Options) {
			t.Helper()
			helperProgram(t, name, host, user, secret)
			return fromHome(t, ".docker/config.json", fmt.Sprintf(`{"credsStore":"none-such","credHelpers":{%q:%q}}`, host, name))
		}
	}
	for _, row := range []struct {
		name  string
		auth  registry.Auth
		login func(t *testing.T, host string) func(*imagebuild.Options)
		post  bool
	}{
		{"ECR", registry.Auth{User: "AWS", Password: "for-twelve-hours"}, helped("ecr-login", "AWS", "for-twelve-hours"), false},
		{"Google", registry.Auth{User: "_dcgcr_login_token", Password: "ya29", Token: true}, helped("gcr", "_dcgcr_login_token", "ya29"), false},
		{"gcloud", registry.Auth{User: "oauth2accesstoken", Password: "ya29", Token: true}, helped("gcloud", "oauth2accesstoken", "ya29"), false},
		{"Azure", registry.Auth{IdentityToken: "refresh", Token: true}, helped("acr-env", "<token>", "refresh"), true},
		{"az acr login", registry.Auth{IdentityToken: "refresh", Token: true}, func(t *testing.T, host string) func(*imagebuild.Options) {
			t.Helper()
			user := base64.StdEncoding.EncodeToString([]byte("00000000-0000-0000-0000-000000000000:"))
			return fromHome(t, ".docker/config.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q,"identitytoken":"refresh"}}}`, host, user))
		}, true},
		{"GitLab", registry.Auth{User: "gitlab-ci-token", Password: "job", Token: true, TokenHost: "localhost"}, func(t *testing.T, host string) func(*imagebuild.Options) {
			t.Helper()
			return fromHome(t, ".docker/config.json", fmt.Sprintf(`{"auths":{%q:{"username":"gitlab-ci-token","password":"job"}}}`, host))
		}, false},
	} {
		for _, push := range []string{imagebuild.PushAuto, imagebuild.PushCrane} {
			t.Run(row.name+", "+push, func(t *testing.T) {
				seen := &seenAuth{seen: map[string]bool{}}
				r := start(t, registry.Options{Auth: &row.auth, Wrap: seen.wrap})
				seed(t, r, "shop/cart:1.4", tomcat())
				build(t, newBuilder(t, row.login(t, r.Host()), func(o *imagebuild.Options) { o.Push = push }), rebuild(r, "shop/cart:1.4"))
				if seen.post != row.post {
					t.Errorf("the identity token was exchanged: %t, want %t", seen.post, row.post)
				}
				if row.auth.TokenHost != "" && (seen.seen["127.0.0.1 Basic"] || seen.seen["localhost Bearer"] || !seen.seen["localhost Basic"]) {
					t.Errorf("the password is for the token server and the token for the registry: %v", seen.seen)
				}
			})
		}
	}
}

// TestRepositoriesOfOneRegistryMayHaveTheirOwnCredentials, as Podman's
// auth.json allows.
func TestRepositoriesOfOneRegistryMayHaveTheirOwnCredentials(t *testing.T) {
	for _, tokens := range []bool{false, true} {
		r := start(t, registry.Options{Auth: &registry.Auth{Token: tokens, More: []registry.Login{
			{User: "shop", Password: "one", Repositories: "shop/"}, {User: "bank", Password: "two", Repositories: "bank/"},
		}}})
		entry := func(user, password string) string {
			return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		}
		b := newBuilder(t, fromHome(t, "containers/auth.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q},%q:{"auth":%q},%q:{"auth":%q}}}`,
			r.Ref("shop"), entry("shop", "one"), r.Ref("bank"), entry("bank", "two"), r.Ref("bank/vault"), entry("shop", "one"))))
		for _, ref := range []string{"shop/cart:1", "bank/till:1", "shop/order:1"} {
			seed(t, r, ref, tomcat())
			build(t, b, rebuild(r, ref))
		}
		seed(t, r, "bank/vault:1", tomcat())
		if _, err := b.Build(t.Context(), rebuild(r, "bank/vault:1")); err == nil {
			t.Error("the entry of the repository itself was not taken")
		}
	}
}

// TestNoPasswordGoesToAPlainTokenServer of a registry that speaks https.
func TestNoPasswordGoesToAPlainTokenServer(t *testing.T) {
	for _, push := range []string{imagebuild.PushAuto, imagebuild.PushCrane} {
		seen := &seenAuth{seen: map[string]bool{}}
		r := start(t, registry.Options{Auth: &registry.Auth{User: "ci", Password: "right", Token: true, TokenHost: "localhost"}, Wrap: seen.wrap})
		seed(t, r, "shop/cart:1.4", tomcat())
		front := behindTLS(t, r)
		host := front.Listener.Addr().String()
		from := rebuild(r, "shop/cart:1.4")
		from.From = host + "/shop/cart:1.4"
		_, err := newBuilder(t, login("ci", "right"), func(o *imagebuild.Options) { o.Push, o.Insecure = push, []string{host} }).Build(t.Context(), from)
		if err == nil || !strings.Contains(err.Error(), "realm") || !strings.Contains(err.Error(), "http") {
			t.Errorf("%s: error %v, want one of the realm's scheme", push, err)
		}
		if len(seen.seen) > 0 {
			t.Errorf("%s: credentials were sent: %v", push, seen.seen)
		}
	}
}

// TestAHelperThatFailsFailsItsRegistryOnly, and says so by name.
func TestAHelperThatFailsFailsItsRegistryOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-locked"), []byte("#!/bin/sh\necho 'the vault is locked'\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	locked, open := start(t, registry.Options{}), start(t, registry.Options{})
	seed(t, locked, "shop/cart:1.4", tomcat())
	seed(t, open, "shop/cart:1.4", tomcat())
	b := newBuilder(t, fromHome(t, ".docker/config.json", fmt.Sprintf(`{"credHelpers":{%q:"locked"}}`, locked.Host())))
	_, err := b.Build(t.Context(), rebuild(locked, "shop/cart:1.4"))
	want := "docker-credential-locked for the credentials of " + locked.Host() + ": exit status 1: the vault is locked"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	build(t, b, rebuild(open, "shop/cart:1.4"))
}
