//go:build unix

package credentials_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/otelshift/otelshift/pkg/imagebuild/credentials"
)

// home is a user's, with the files that are given by their names in it.
func home(t *testing.T, files map[string]string) func(string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"HOME": dir, "XDG_RUNTIME_DIR": filepath.Join(dir, "run")}
	return func(name string) string { return env[name] }
}

// helper puts a program of Docker's protocol into PATH. The script sees the
// server it is asked for as $server.
func helper(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	content := "#!/bin/sh\n[ \"$1\" = get ] || exit 2\nserver=$(cat)\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// login is an entry of auths.
func login(user, password string) string {
	return fmt.Sprintf(`{"auth":%q}`, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func repository(t *testing.T, text string) name.Repository {
	t.Helper()
	r, err := name.NewRepository(text, name.WeakValidation)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func resolve(ctx context.Context, k *credentials.Keychain, r authn.Resource) (authn.AuthConfig, error) {
	auth, err := authn.Resolve(ctx, k, r)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	config, err := authn.Authorization(ctx, auth)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	config.Auth = ""
	return *config, nil
}

func TestTheMostSpecificPlaceCounts(t *testing.T) {
	helper(t, "shop", `echo "{\"ServerURL\":\"$server\",\"Username\":\"AWS\",\"Secret\":\"of $server\"}"`)
	helper(t, "token", `echo '{"Username":"<token>","Secret":"refresh"}'`)
	helper(t, "empty", `echo "credentials not found in native keychain"; exit 1`)
	const docker, podman = ".docker/config.json", "run/containers/auth.json"
	user := func(name string) authn.AuthConfig { return authn.AuthConfig{Username: name, Password: "secret"} }
	aws := func(server string) authn.AuthConfig {
		return authn.AuthConfig{Username: "AWS", Password: "of " + server}
	}
	nested := `{"auths":{"reg.example":` + login("reg", "secret") + `,"reg.example/shop":` + login("shop", "secret") + `,"reg.example/shop/cart":` + login("cart", "secret") + `}}`
	for _, row := range []struct {
		name  string
		files map[string]string
		ask   string
		want  authn.AuthConfig
	}{
		{"nothing is anonymous", nil, "reg.example/shop/cart", authn.AuthConfig{}},
		{"an empty file is anonymous", map[string]string{docker: " \n"}, "reg.example/shop/cart", authn.AuthConfig{}},
		{"Podman: the repository's own", map[string]string{podman: nested}, "reg.example/shop/cart", user("cart")},
		{"Podman: the namespace's", map[string]string{podman: nested}, "reg.example/shop/order", user("shop")},
		{"Podman: a name that only begins alike is another", map[string]string{podman: nested}, "reg.example/shopping/cart", user("reg")},
		{"Docker: the same", map[string]string{docker: nested}, "reg.example/shop/order", user("shop")},
		{"another port is another registry", map[string]string{docker: nested}, "reg.example:5000/shop/order", authn.AuthConfig{}},
		{"hosts know no case", map[string]string{docker: `{"auths":{"REG.example":` + login("reg", "secret") + `}}`}, "reg.example/a", user("reg")},
		{"an address", map[string]string{docker: `{"auths":{"https://reg.example/v2/":` + login("reg", "secret") + `}}`}, "reg.example/a", user("reg")},
		{"a host with the protocol's path", map[string]string{docker: `{"auths":{"reg.example/v1/":` + login("reg", "secret") + `}}`}, "reg.example/a", user("reg")},
		{"Docker Hub by its address", map[string]string{docker: `{"auths":{"https://index.docker.io/v1/":` + login("hub", "secret") + `}}`}, "library/tomcat", user("hub")},
		{"Docker Hub by its name", map[string]string{podman: `{"auths":{"docker.io":` + login("hub", "secret") + `}}`}, "shop/cart", user("hub")},
		{"a part of Docker Hub", map[string]string{podman: `{"auths":{"docker.io":` + login("hub", "secret") + `,"docker.io/shop":` + login("shop", "secret") + `}}`}, "docker.io/shop/cart", user("shop")},
		{"user and password apart", map[string]string{docker: `{"auths":{"reg.example":{"username":"reg","password":"secret"}}}`}, "reg.example/a", user("reg")},
		{"an identity token", map[string]string{docker: `{"auths":{"reg.example":{"auth":"MDAwOg==","identitytoken":"refresh"}}}`}, "reg.example/a", authn.AuthConfig{Username: "000", IdentityToken: "refresh"}},
		{"a registry's helper", map[string]string{docker: `{"credHelpers":{"reg.example":"shop"}}`}, "reg.example/a/b", aws("reg.example")},
		{"a registry's helper before the one for all", map[string]string{docker: `{"credsStore":"empty","credHelpers":{"reg.example":"shop"},"auths":{"reg.example":{}}}`}, "reg.example/a", aws("reg.example")},
		{"a helper that gives an identity token", map[string]string{docker: `{"credHelpers":{"reg.example":"token"}}`}, "reg.example/a", authn.AuthConfig{IdentityToken: "refresh"}},
		{"the one for all, and empty entries", map[string]string{docker: `{"credsStore":"shop","auths":{"other.example":{}}}`}, "reg.example/a", aws("reg.example")},
		{"a helper is asked for Docker Hub by its address", map[string]string{docker: `{"credHelpers":{"docker.io":"shop"}}`}, "library/tomcat", aws("https://index.docker.io/v1/")},
		{"a registry without a helper", map[string]string{docker: `{"credsStore":"shop","credHelpers":{"reg.example":""},"auths":{"reg.example":` + login("reg", "secret") + `}}`}, "reg.example/a", user("reg")},
		{"a helper that has none leaves it to the file", map[string]string{docker: `{"credsStore":"empty","auths":{"reg.example":` + login("reg", "secret") + `}}`}, "reg.example/a", user("reg")},
		{"a file that has none leaves it to the next", map[string]string{docker: `{"credsStore":"empty","auths":{"reg.example":{}}}`, podman: nested}, "reg.example/a", user("reg")},
		{"Docker's file before Podman's", map[string]string{docker: `{"auths":{"reg.example":` + login("docker", "secret") + `}}`, podman: nested}, "reg.example/a", user("docker")},
		{"Podman's own folder", map[string]string{".config/containers/auth.json": nested}, "reg.example/a", user("reg")},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := resolve(t.Context(), credentials.New(credentials.Options{Getenv: home(t, row.files)}), repository(t, row.ask))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("credentials (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheEnvironmentNamesPlaces(t *testing.T) {
	t.Parallel()
	write := func(content string) string {
		file := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	entry := func(user string) string { return `{"auths":{"reg.example":` + login(user, "secret") + `}}` }
	env := map[string]string{
		"DOCKER_AUTH_CONFIG": entry("variable"), "DOCKER_CONFIG": filepath.Dir(write(entry("docker"))), "REGISTRY_AUTH_FILE": write(entry("podman")),
	}
	k := credentials.New(credentials.Options{Getenv: func(name string) string { return env[name] }})
	for _, variable := range []struct{ name, user string }{{"DOCKER_AUTH_CONFIG", "variable"}, {"DOCKER_CONFIG", "docker"}, {"REGISTRY_AUTH_FILE", "podman"}} {
		if got, err := resolve(t.Context(), k, repository(t, "reg.example/a")); err != nil || got.Username != variable.user {
			t.Errorf("user %q, %v, want the one of %s", got.Username, err, variable.name)
		}
		delete(env, variable.name)
	}
}

func TestWhatCannotBeReadIsSaidWithoutSecrets(t *testing.T) {
	helper(t, "broken", `echo "no route to the vault" ; echo hint >&2; exit 3`)
	helper(t, "mute", `echo "vault is locked" >&2; exit 3`)
	helper(t, "chatty", `echo "token sesame"`)
	for _, row := range []struct{ name, config, want string }{
		{"no JSON", `{"auths":`, "config.json: no credentials"},
		{"no base64", `{"auths":{"reg.example":{"auth":"%sesame%"}}}`, `auth of "reg.example": want the base64 of user:password`},
		{"no user", `{"auths":{"reg.example":{"auth":"c2VzYW1l"}}}`, `auth of "reg.example": want the base64 of user:password`},
		{"no such program", `{"credsStore":"none-such"}`, "docker-credential-none-such for the credentials of reg.example: "},
		{"a program somewhere", `{"credsStore":"../sesame/x"}`, "without its folder"},
		{"a helper's error", `{"credHelpers":{"reg.example":"broken"}}`, "docker-credential-broken for the credentials of reg.example: exit status 3: no route to the vault"},
		{"a helper's error on the other channel", `{"credHelpers":{"reg.example":"mute"}}`, "exit status 3: vault is locked"},
		{"a helper that answers otherwise", `{"credHelpers":{"reg.example":"chatty"}}`, "no JSON object"},
	} {
		_, err := resolve(t.Context(), credentials.New(credentials.Options{Getenv: home(t, map[string]string{".docker/config.json": row.config})}), repository(t, "reg.example/a"))
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(strings.ReplaceAll(err.Error(), "../sesame/x", ""), "sesame") {
			t.Errorf("%s: %v, want %q and no secret", row.name, err, row.want)
		}
	}
}

// hanging is a helper that never answers, and waits for a program of its own.
// The returned function waits until it runs; what that returns waits until both
// have ended.
func hanging(t *testing.T, name string) (running func() (ended func())) {
	t.Helper()
	pipe := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("needs named pipes: %v", err)
	}
	helper(t, name, "exec 3>'"+pipe+"'\nsleep 600 &\nwait")
	return func() func() {
		f, err := os.Open(pipe) // once the helper has it open too
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := f.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadAll(f); err != nil { // its end is that of the last who has it open
				t.Errorf("the helper or what it ran has not ended: %v", err)
			}
			_ = f.Close() // only read
		}
	}
}

func TestAHelperThatHangsHoldsUpOnlyWhoNeedsIt(t *testing.T) {
	running := hanging(t, "slow")
	helper(t, "quick", `echo '{"Username":"u","Secret":"p"}'`)
	k := credentials.New(credentials.Options{Getenv: home(t, map[string]string{
		".docker/config.json": `{"credHelpers":{"slow.example":"slow","quick.example":"quick"}}`,
	}), Timeout: time.Hour})
	first, leave := context.WithCancel(t.Context())
	second, leaveToo := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for _, ctx := range []context.Context{first, second} {
		wait.Go(func() {
			if _, err := resolve(ctx, k, repository(t, "slow.example/a")); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want that of the context", err)
			}
		})
	}
	ended := running()
	if got, err := resolve(t.Context(), k, repository(t, "quick.example/a")); err != nil || got.Username != "u" {
		t.Errorf("another registry's: %v, %v", got, err)
	}
	leave()
	leaveToo()
	wait.Wait()
	ended()
}

func TestAHelperHasLimitedTime(t *testing.T) {
	running := hanging(t, "slow")
	k := credentials.New(credentials.Options{
		Getenv: home(t, map[string]string{".docker/config.json": `{"credsStore":"slow"}`}), Timeout: 200 * time.Millisecond,
	})
	var wait sync.WaitGroup
	wait.Go(func() { running()() })
	const want = "asking docker-credential-slow for the credentials of slow.example: no answer within 200ms"
	for range 3 { // and is not tried again and again
		if _, err := resolve(t.Context(), k, repository(t, "slow.example/a")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	wait.Wait()
}

func TestAHelperIsAskedOnceAndAgainWhenItsAnswerIsOld(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	helper(t, "shop", `echo x >> '`+count+`'; echo "{\"Username\":\"u\",\"Secret\":\"$(wc -l < '`+count+`' | tr -d ' ')\"}"`)
	now := time.Unix(1000, 0)
	k := credentials.New(credentials.Options{
		Getenv: home(t, map[string]string{".docker/config.json": `{"credsStore":"shop"}`}), Now: func() time.Time { return now },
	})
	auth, err := authn.Resolve(t.Context(), k, repository(t, "reg.example/a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		later time.Duration
		want  string
	}{{0, "1"}, {4 * time.Minute, "1"}, {2 * time.Minute, "2"}} {
		now = now.Add(step.later)
		config, err := authn.Authorization(t.Context(), auth)
		if err != nil || config.Password != step.want {
			t.Errorf("after another %s: %v, %v, want answer %s", step.later, config, err, step.want)
		}
	}
}

func TestAHelperMayLeaveSomethingRunning(t *testing.T) {
	helper(t, "agent", `sleep 600 & echo $! > "$0.pid"; echo '{"Username":"u","Secret":"p"}'`)
	dir, _, _ := strings.Cut(os.Getenv("PATH"), string(os.PathListSeparator))
	t.Cleanup(func() {
		pid, err := os.ReadFile(filepath.Join(dir, "docker-credential-agent.pid"))
		var n int
		if _, e := fmt.Sscan(string(pid), &n); err != nil || e != nil || syscall.Kill(n, syscall.SIGKILL) != nil {
			t.Errorf("cannot end what the helper left: %v, %v", err, e)
		}
	})
	k := credentials.New(credentials.Options{Getenv: home(t, map[string]string{".docker/config.json": `{"credsStore":"agent"}`})})
	if got, err := resolve(t.Context(), k, repository(t, "reg.example/a")); err != nil || got.Password != "p" {
		t.Errorf("credentials %v, %v", got, err)
	}
}

// TestADirectoryInAFilesPlaceHasNone: Docker makes one where a file is to be
// mounted that is not there.
func TestADirectoryInAFilesPlaceHasNone(t *testing.T) {
	t.Parallel()
	getenv := home(t, map[string]string{".docker/config.json/x": "", "run/containers/auth.json": `{"auths":{"reg.example":` + login("reg", "secret") + `}}`})
	got, err := resolve(t.Context(), credentials.New(credentials.Options{Getenv: getenv}), repository(t, "reg.example/a"))
	if err != nil || got.Username != "reg" {
		t.Errorf("credentials of %q, %v, want those of the next file", got.Username, err)
	}
}
