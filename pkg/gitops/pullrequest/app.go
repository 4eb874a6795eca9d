package pullrequest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"
)

// Installation is a GitHub App's installation in the repository: it gives out
// tokens, for the API and for git, and renews them.
type Installation struct {
	app     App
	address Address
	client  *github.Client
	now     func() time.Time

	mu      sync.Mutex // guards what follows
	id      int64
	login   string
	token   string
	expires time.Time
}

// NewInstallation checks the options; it talks to nobody.
func NewInstallation(o Options) (*Installation, error) {
	address, err := o.complete()
	if err != nil {
		return nil, err
	}
	if o.App == nil || o.App.Key == nil {
		return nil, errors.New("opening the forge: no GitHub App")
	}
	i := &Installation{app: *o.App, address: address, now: o.Now}
	i.client, err = newClient(address, &jwtTransport{app: i, next: o.Transport})
	return i, err
}

// ParseAppKey reads a GitHub App's private key: PEM, PKCS #1 or PKCS #8.
func ParseAppKey(raw []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("reading the app's private key: no PEM block")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("reading the app's private key: neither PKCS #1 nor PKCS #8")
	}
	key, isRSA := parsed.(*rsa.PrivateKey)
	if !isRSA {
		return nil, errors.New("reading the app's private key: not an RSA key")
	}
	return key, nil
}

// Token is an installation token that is good for five minutes at least.
func (i *Installation) Token(ctx context.Context) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.token != "" && i.now().Add(5*time.Minute).Before(i.expires) {
		return i.token, nil
	}
	if i.id == 0 {
		installation, _, err := i.client.Apps.FindRepositoryInstallation(ctx, i.address.Owner, i.address.Repo)
		if err != nil {
			return "", i.fail("looking for the installation of the GitHub App", err)
		}
		i.id = installation.GetID()
	}
	token, _, err := i.client.Apps.CreateInstallationToken(ctx, i.id, nil)
	if err != nil {
		return "", i.fail("getting a token of the GitHub App", err)
	}
	i.token, i.expires = token.GetToken(), token.GetExpiresAt().Time
	return i.token, nil
}

// Login is the login that the App acts under.
func (i *Installation) Login(ctx context.Context) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.login == "" {
		app, _, err := i.client.Apps.Get(ctx, "")
		if err != nil {
			return "", i.fail("asking GitHub for the App's name", err)
		}
		i.login = app.GetSlug() + "[bot]"
	}
	return i.login, nil
}

func (i *Installation) fail(doing string, err error) error {
	return explain(fmt.Sprintf("%s %d for %s/%s", doing, i.app.ID, i.address.Owner, i.address.Repo), err)
}

// jwt proves that we are the App, for nine minutes;
// https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app.
func (i *Installation) jwt() (string, error) {
	now := i.now()
	claims, err := json.Marshal(map[string]any{
		"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(9 * time.Minute).Unix(), "iss": strconv.FormatInt(i.app.ID, 10),
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.app.Key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing for the GitHub App: %w", err)
	}
	return signed + "." + encode(signature), nil
}

// jwtTransport authenticates as the App, at the API's host only.
type jwtTransport struct {
	app  *Installation
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *jwtTransport) RoundTrip(q *http.Request) (*http.Response, error) {
	out := q.Clone(q.Context())
	out.Header.Del("Authorization")
	if api := t.app.address.API; out.URL.Scheme == api.Scheme && strings.EqualFold(out.URL.Host, api.Host) {
		token, err := t.app.jwt()
		if err != nil {
			return nil, err
		}
		out.Header.Set("Authorization", "Bearer "+token)
	}
	return t.next.RoundTrip(out)
}
