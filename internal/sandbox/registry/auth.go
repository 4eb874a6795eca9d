package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	// Token asks for bearer tokens, as Docker Hub, GHCR and Harbor do; else
	// Basic. The token server is the registry itself, at /token.
	Token bool
	// TokenUses is how many requests a token is good for; 0: any number.
	TokenUses int
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
		if !d.known(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
			deny(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
	case r.URL.Path == tokenPath:
		d.issue(w, r)
		return
	default:
		if scope := d.missing(r); scope != nil {
			challenge := fmt.Sprintf(`Bearer realm="http://%s%s",service="sandbox"`, r.Host, tokenPath)
			if *scope != "" {
				challenge += fmt.Sprintf(`,scope="%s"`, *scope)
			}
			w.Header().Set("WWW-Authenticate", challenge)
			deny(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
	}
	d.next.ServeHTTP(w, r)
}

func (d *door) known(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && subtle.ConstantTimeCompare([]byte(user), []byte(d.auth.User)) == 1 &&
		subtle.ConstantTimeCompare([]byte(password), []byte(d.auth.Password)) == 1
}

// issue is the token server. distribution, docs/spec/auth/token.md.
func (d *door) issue(w http.ResponseWriter, r *http.Request) {
	if !d.known(r) {
		deny(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	d.mu.Lock()
	d.issued++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%d", d.auth.Password, d.issued))
	name := base64.RawURLEncoding.EncodeToString(sum[:])
	t := &token{left: -1}
	if d.auth.TokenUses > 0 {
		t.left = d.auth.TokenUses
	}
	for _, scope := range r.URL.Query()["scope"] {
		t.scopes = append(t.scopes, strings.Fields(scope)...)
	}
	d.tokens[name] = t
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": name, "expires_in": 300})
}

// missing returns the scope that the request's token lacks, or nil. A mount
// needs to read the repository that it mounts from.
func (d *door) missing(r *http.Request) *string {
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
		return &all
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tokens[name]
	if t == nil || t.left == 0 {
		return &all
	}
	for _, scope := range wanted {
		if !covered(t.scopes, scope) {
			return &all
		}
	}
	if t.left > 0 {
		t.left--
	}
	return nil
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

func deny(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
