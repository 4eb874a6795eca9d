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
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// ParseAppKey reads a GitHub App's private key: PEM, PKCS #1 or PKCS #8.
func ParseAppKey(data []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
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
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("reading the app's private key: not an RSA key")
	}
	return key, nil
}

// Installation gives tokens of an app's installation, renewed before they end.
//
// https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
type Installation struct {
	app       App
	api       string // with the slash
	location  Location
	transport http.RoundTripper
	now       func() time.Time

	mu      sync.Mutex // guards what follows
	id      int64
	slug    string
	token   string
	expires time.Time
}

// NewInstallation returns the app's installation in the repository.
func NewInstallation(o Options) (*Installation, error) {
	location, api, err := o.place()
	if err != nil {
		return nil, err
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	return &Installation{app: *o.App, api: api, location: location, transport: o.Transport, now: o.Now}, nil
}

// Token returns a token that is good for at least five minutes.
func (i *Installation) Token(ctx context.Context) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.token != "" && i.now().Add(5*time.Minute).Before(i.expires) {
		return i.token, nil
	}
	if i.id == 0 {
		var found struct {
			ID      int64  `json:"id"`
			AppSlug string `json:"app_slug"`
		}
		if err := i.call(ctx, http.MethodGet, "repos/"+i.location.Owner+"/"+i.location.Name+"/installation", &found); err != nil {
			return "", fmt.Errorf("finding the app's installation in %s/%s: %w", i.location.Owner, i.location.Name, err)
		}
		i.id, i.slug = found.ID, found.AppSlug
	}
	var made struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := i.call(ctx, http.MethodPost, fmt.Sprintf("app/installations/%d/access_tokens", i.id), &made); err != nil {
		return "", fmt.Errorf("asking for an installation token: %w", err)
	}
	i.token, i.expires = made.Token, made.ExpiresAt
	return i.token, nil
}

// Login is the app's own login; a token has to be asked for first.
func (i *Installation) Login() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.slug + "[bot]"
}

func (i *Installation) call(ctx context.Context, method, path string, into any) error {
	signed, err := i.jwt()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, i.api+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("making a request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+signed)
	req.Header.Set("Accept", "application/vnd.github+json")
	resp, err := i.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("%w: %w", fleet.ErrUnavailable, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read side
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: GitHub refuses the app's key (%s)", fleet.ErrDenied, resp.Status)
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: the app is not installed there", fleet.ErrNotFound)
	case resp.StatusCode >= http.StatusMultipleChoices:
		return fmt.Errorf("%w: GitHub answers %s", fleet.ErrUnavailable, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(into); err != nil {
		return fmt.Errorf("reading GitHub's answer: %w", err)
	}
	return nil
}

// jwt is the app's own credential, RS256, good for nine minutes.
func (i *Installation) jwt() (string, error) {
	now := i.now()
	claims, err := json.Marshal(map[string]any{"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(9 * time.Minute).Unix(), "iss": i.app.ID})
	if err != nil {
		return "", fmt.Errorf("signing for the app: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.app.Key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing for the app: %w", err)
	}
	return text + "." + encode(signature), nil
}
