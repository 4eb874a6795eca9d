package wire_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
)

// internet answers for every host.
type internet struct {
	answer func(r *http.Request) (status int, header http.Header, body string)

	mu    sync.Mutex
	asked []string // method, address, and the scheme of the credentials
}

func (i *internet) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close() //nolint:errcheck // reading only
	}
	kind, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	i.mu.Lock()
	i.asked = append(i.asked, strings.TrimSpace(fmt.Sprintf("%s %s://%s%s %s", r.Method, r.URL.Scheme, r.URL.Host, r.URL.Path, kind)))
	i.mu.Unlock()
	status, header, body := i.answer(r)
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

type basic struct{}

func (basic) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "ci", Password: "secret"}, nil
}

// guarded is a registry whose tokens come from a realm.
func guarded(realm string) func(r *http.Request) (int, http.Header, string) {
	return func(r *http.Request) (int, http.Header, string) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/token"):
			return http.StatusOK, nil, `{"token":"t"}`
		case r.URL.Path == "/v2/" && !strings.HasPrefix(realm, "http:") && r.URL.Scheme == "http" && !strings.Contains(realm, "plain"):
			return http.StatusBadGateway, nil, ""
		case r.Header.Get("Authorization") == "Bearer t":
			return http.StatusOK, http.Header{"Docker-Content-Digest": {"sha256:" + strings.Repeat("0", 64)}, "Content-Type": {"application/vnd.oci.image.index.v1+json"}}, ""
		}
		return http.StatusUnauthorized, http.Header{"Www-Authenticate": {`Bearer realm="` + realm + `",service="a \"b\", c",scope="x"`}}, ""
	}
}

// TestCredentialsGoOnlyWhereTheyMay: to token servers over https, or plain http
// where the registry speaks that or the configuration names the host; to a
// private address only from a registry with one.
func TestCredentialsGoOnlyWhereTheyMay(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, registry, realm string
		insecure              []string
		fine                  bool
	}{
		{"the registry's own", "reg.example", "https://reg.example/token", nil, true},
		{"another host, as GitLab's", "reg.example", "https://gitlab.example/jwt/token", nil, true},
		{"plain http from https", "reg.example", "http://auth.example/token", nil, false},
		{"plain http that is named", "reg.example", "http://auth.example/token", []string{"auth.example"}, true},
		{"a private address", "reg.example", "https://10.0.0.7/token", nil, false},
		{"a metadata service", "reg.example", "https://169.254.169.254/token", nil, false},
		{"this machine by an address of IPv6", "reg.example", "https://[::ffff:0.0.0.0]/token", nil, false},
		{"a private address in another spelling", "reg.example", "https://167772167/token", nil, false},
		{"a private address that is named", "reg.example", "https://10.0.0.7/token", []string{"10.0.0.7"}, true},
		{"a private address of a private registry", "10.0.0.7:5000", "https://10.0.0.7/token", nil, true},
		{"another private address of a private registry", "10.0.0.7:5000", "https://10.0.0.8/token", nil, true},
		{"another scheme", "reg.example", "ftp://reg.example/token", nil, false},
		{"no address", "reg.example", "nowhere", nil, false},
	} {
		web := &internet{answer: guarded(row.realm)}
		if row.registry != "reg.example" {
			web.answer = func(r *http.Request) (int, http.Header, string) {
				if r.URL.Scheme == "http" {
					return http.StatusBadGateway, nil, ""
				}
				return guarded(row.realm)(r)
			}
		}
		repo, err := wire.New(wire.Options{Transport: web, Keychain: basic{}, Insecure: row.insecure, Attempts: 1}).Open(row.registry+"/shop/cart", wire.Pull)
		if err != nil {
			t.Fatal(err)
		}
		_, err = repo.Head(t.Context(), "1")
		if (err == nil) != row.fine {
			t.Errorf("%s: %v", row.name, err)
		}
		if !row.fine && !errors.Is(err, fleet.ErrDenied) && !errors.Is(err, wire.ErrUnexpected) {
			t.Errorf("%s: %v is of no kind", row.name, err)
		}
		for _, asked := range web.asked {
			if password := strings.HasSuffix(asked, " Basic"); password && (!row.fine || !strings.HasPrefix(asked, "GET "+row.realm)) {
				t.Errorf("%s: the password went along with %s", row.name, asked)
			}
		}
	}
}

// TestARegistryMayLeadToAnotherThatWantsATokenOfItsOwn, without credentials.
func TestARegistryMayLeadToAnotherThatWantsATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	own, other := guarded("https://reg.example/token"), guarded("https://mirror.example/token")
	web := &internet{}
	web.answer = func(r *http.Request) (int, http.Header, string) {
		switch {
		case r.URL.Host == "mirror.example":
			return other(r)
		case strings.HasPrefix(r.URL.Path, "/v2/shop/") && r.Header.Get("Authorization") == "Bearer t":
			return http.StatusTemporaryRedirect, http.Header{"Location": {"https://mirror.example" + r.URL.Path}}, ""
		}
		return own(r)
	}
	repo, err := wire.New(wire.Options{Transport: web, Keychain: basic{}}).Open("reg.example/shop/cart", wire.Pull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Head(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"GET https://reg.example/v2/", "GET https://reg.example/token Basic", "HEAD https://reg.example/v2/shop/cart/manifests/1 Bearer",
		"HEAD https://mirror.example/v2/shop/cart/manifests/1", "GET https://mirror.example/token", "HEAD https://mirror.example/v2/shop/cart/manifests/1 Bearer",
	}
	if got := strings.Join(web.asked, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("asked:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

// TestTokensThatAreRefusedAreNotAskedForAgainAndAgain: one that lacks a right
// will lack it again; one that ended may do so a few times.
func TestTokensThatAreRefusedAreNotAskedForAgainAndAgain(t *testing.T) {
	t.Parallel()
	for why, want := range map[string]int{"insufficient_scope": 2, "invalid_token": 5} {
		asked := 0
		web := &internet{answer: func(r *http.Request) (int, http.Header, string) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				if got := r.URL.Query()["scope"]; len(got) == 0 || r.URL.Query().Get("service") != "s" {
					return http.StatusBadRequest, nil, ""
				}
				if asked++; asked > 20 {
					return http.StatusTeapot, nil, "" // an end to it
				}
				return http.StatusOK, nil, fmt.Sprintf(`{"access_token":"weak%d"}`, asked)
			}
			return http.StatusUnauthorized, http.Header{"Www-Authenticate": {"Negotiate", `Bearer realm="https://reg.example/token",service=s,scope="repository:shop/cart:pull,push",error="` + why + `"`}}, ""
		}}
		repo, err := wire.New(wire.Options{Transport: web, Keychain: basic{}}).Open("reg.example/shop/cart", wire.Pull)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := repo.Head(t.Context(), "1"); !errors.Is(err, fleet.ErrDenied) {
			t.Errorf("%s: error %v, want denied", why, err)
		}
		if asked != want {
			t.Errorf("%s: %d tokens were asked for, want %d: %v", why, asked, want, web.asked)
		}
	}
}

// identity is an identity token, as Azure's helper gives one.
type identity struct{}

func (identity) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: "u", Password: "p", IdentityToken: "sesame"}), nil
}

// TestAnIdentityTokenIsPostedToItsServerOnly, whatever that answers.
func TestAnIdentityTokenIsPostedToItsServerOnly(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		status int // of the answer to POST
		fine   bool
	}{
		{"a server that takes it", http.StatusOK, true},
		{"an older server has no such place", http.StatusNotFound, true},
		{"an older server knows GET only", http.StatusMethodNotAllowed, true},
		{"a server that refuses it", http.StatusUnauthorized, false},
		{"a server that leads elsewhere", http.StatusTemporaryRedirect, false},
	} {
		web := &internet{}
		web.answer = func(r *http.Request) (int, http.Header, string) {
			switch {
			case r.Method == http.MethodPost && row.status != http.StatusOK:
				return row.status, http.Header{"Location": {"https://elsewhere.example/token"}}, ""
			case strings.HasSuffix(r.URL.Path, "/token"):
				return http.StatusOK, nil, `{"access_token":"t"}`
			}
			return guarded("https://reg.example/token")(r)
		}
		repo, err := wire.New(wire.Options{Transport: web, Keychain: identity{}, Attempts: 1}).Open("reg.example/shop/cart", wire.Pull)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := repo.Head(t.Context(), "1"); (err == nil) != row.fine {
			t.Errorf("%s: %v", row.name, err)
		}
		if all := strings.Join(web.asked, "\n"); strings.Contains(all, "elsewhere") || strings.Count(all, "POST") != 1 {
			t.Errorf("%s: asked %s", row.name, all)
		}
	}
}
