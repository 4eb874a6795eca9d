package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// tokenPath is where a registry that asks for bearer tokens hands them out.
const tokenPath = "/token"

// Auth is what a registry asks of its clients.
type Auth struct {
	User, Password string
	// More are others who may come in.
	More []Login
	// Token asks for bearer tokens, as Docker Hub, GHCR and Harbor do; else
	// Basic. The token server is the registry itself, at /token.
	Token bool
	// IdentityToken is what the token server exchanges as OAuth 2 has it, as
	// Azure's does; nobody needs a password then.
	IdentityToken string
	// TokenHost is a name for the token server's host, where it is not the
	// registry's, as with GitLab: "localhost".
	TokenHost string
	// TokenUses is how many requests a token is good for; 0: any number.
	TokenUses int
}

// Login is somebody who may use some of the repositories.
type Login struct {
	User, Password string
	Repositories   string // they begin with it
}

// door lets in who has the credentials.
type door struct {
	auth Auth
	next http.Handler

	mu     sync.Mutex
	issued int
	tokens map[string]*token
}

type token struct {
	scopes []string // "repository:shop/cart:pull,push"
	left   int      // uses; -1: any number
}

func newDoor(auth Auth, next http.Handler) http.Handler {
	return &door{auth: auth, next: next, tokens: map[string]*token{}}
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !d.auth.Token:
		repository, _ := repositoryOf(r.URL.Path)
		if allowed, ok := d.known(r); !ok || repository != "" && !strings.HasPrefix(repository, allowed) {
			w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
			deny(w, "authentication required")
			return
		}
	case r.URL.Path == tokenPath:
		d.issue(w, r)
		return
	default:
		if scope, why := d.missing(r); scope != nil {
			challenge := fmt.Sprintf(`Bearer realm="http://%s%s",service="sandbox"`, d.tokenHost(r), tokenPath)
			if *scope != "" {
				challenge += fmt.Sprintf(`,scope="%s"`, *scope)
			}
			if why != "" { // RFC 6750, section 3.1
				challenge += fmt.Sprintf(`,error="%s"`, why)
			}
			w.Header().Set("WWW-Authenticate", challenge)
			deny(w, "authentication required")
			return
		}
	}
	d.next.ServeHTTP(w, r)
}

// known tells whose password the request carries, by the repositories that
// they may use.
func (d *door) known(r *http.Request) (repositories string, ok bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", false
	}
	for _, login := range append([]Login{{User: d.auth.User, Password: d.auth.Password}}, d.auth.More...) {
		if login.User != "" && subtle.ConstantTimeCompare([]byte(user), []byte(login.User)) == 1 &&
			subtle.ConstantTimeCompare([]byte(password), []byte(login.Password)) == 1 {
			return login.Repositories, true
		}
	}
	return "", false
}

func (d *door) tokenHost(r *http.Request) string {
	if d.auth.TokenHost == "" {
		return r.Host
	}
	_, port, _ := net.SplitHostPort(r.Host)
	return net.JoinHostPort(d.auth.TokenHost, port)
}

// issue is the token server. distribution, docs/spec/auth/token.md, and
// docs/spec/auth/oauth.md for POST.
func (d *door) issue(w http.ResponseWriter, r *http.Request) {
	var repositories string
	var wanted []string
	if r.Method == http.MethodPost {
		if r.PostFormValue("grant_type") != "refresh_token" || d.auth.IdentityToken == "" || r.PostFormValue("refresh_token") != d.auth.IdentityToken ||
			r.PostFormValue("service") != "sandbox" || r.PostFormValue("client_id") == "" {
			deny(w, "invalid refresh token")
			return
		}
		wanted = []string{r.PostFormValue("scope")}
	} else {
		var ok bool
		if repositories, ok = d.known(r); !ok {
			deny(w, "incorrect username or password")
			return
		}
		wanted = r.URL.Query()["scope"]
	}
	d.mu.Lock()
	d.issued++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%d", d.auth.Password, d.issued))
	name := base64.RawURLEncoding.EncodeToString(sum[:])
	t := &token{left: -1}
	if d.auth.TokenUses > 0 {
		t.left = d.auth.TokenUses
	}
	for _, list := range wanted {
		for scope := range strings.FieldsSeq(list) { // what is not allowed is left out and not said
			if strings.HasPrefix(scope, "repository:"+repositories) {
				t.scopes = append(t.scopes, scope)
			}
		}
	}
	d.tokens[name] = t
	d.mu.Unlock()
	answer := map[string]any{"token": name, "expires_in": 300}
	if r.Method == http.MethodPost {
		answer = map[string]any{"access_token": name, "expires_in": 300, "scope": strings.Join(t.scopes, " ")}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// missing returns the scope that the request's token lacks, or nil, and what is
// wrong with the token. A mount needs to read the repository that it mounts
// from.
func (d *door) missing(r *http.Request) (scope *string, why string) {
	var wanted []string
	if repository, ok := repositoryOf(r.URL.Path); ok {
		actions := "pull"
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			actions = "pull,push"
		}
		wanted = append(wanted, "repository:"+repository+":"+actions)
		if from := r.URL.Query().Get("from"); from != "" && from != repository {
			wanted = append(wanted, "repository:"+from+":pull")
		}
	}
	all := strings.Join(wanted, " ")
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return &all, ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tokens[name]
	if t == nil || t.left == 0 {
		return &all, "invalid_token"
	}
	for _, scope := range wanted {
		if !covered(t.scopes, scope) {
			return &all, "insufficient_scope"
		}
	}
	if t.left > 0 {
		t.left--
	}
	return nil, ""
}

func covered(have []string, want string) bool {
	cut := strings.LastIndex(want, ":")
	for _, scope := range have {
		i := strings.LastIndex(scope, ":")
		if i < 0 || scope[:i] != want[:cut] {
			continue
		}
		actions := strings.Split(scope[i+1:], ",")
		if !slices.ContainsFunc(strings.Split(want[cut+1:], ","), func(a string) bool { return !slices.Contains(actions, a) }) {
			return true
		}
	}
	return false
}

// repositoryOf finds the repository's name in a path of the API.
func repositoryOf(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return "", false
	}
	for _, part := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
		if i := strings.LastIndex(rest, part); i > 0 {
			return rest[:i], true
		}
	}
	return "", false
}

func deny(w http.ResponseWriter, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": "UNAUTHORIZED", "message": message}}})
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
