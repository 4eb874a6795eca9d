package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// clientID is what token servers are told that asks.
const clientID = "otelshift"

const maxToken = 1 << 20

// token asks the registry's token server for a token: with a password by GET,
// with an identity token by POST. distribution, docs/spec/auth/token.md and
// oauth.md.
func (c *Client) token(ctx context.Context, r *registry, auth authn.Authenticator, scopes []string) (string, error) {
	config, err := authn.Authorization(ctx, auth)
	if err != nil {
		return "", err //nolint:wrapcheck // the keychain says whose it is
	}
	if config.RegistryToken != "" {
		return config.RegistryToken, nil
	}
	server, err := c.realm(r)
	if err != nil {
		return "", err
	}
	if config.IdentityToken != "" {
		token, status, err := c.exchange(ctx, server, c.identityRequest(r, server, config.IdentityToken, scopes))
		// Older servers know no POST.
		if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			return token, err
		}
	}
	token, _, err := c.exchange(ctx, server, func(ctx context.Context) (*http.Request, error) {
		query := server.url.Query()
		query["scope"] = scopes
		if service := r.challenge.Parameters["service"]; service != "" {
			query.Set("service", service)
		}
		place := *server.url
		place.RawQuery = query.Encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, place.String(), nil)
		if err != nil {
			return nil, err //nolint:wrapcheck // wrapped by exchange
		}
		switch {
		case config.Username != "" && config.Password != "":
			req.SetBasicAuth(config.Username, config.Password)
		case config.Auth != "":
			req.Header.Set("Authorization", "Basic "+config.Auth)
		}
		return req, nil
	})
	return token, err
}

// identityRequest exchanges an identity token.
func (*Client) identityRequest(r *registry, server realm, identity string, scopes []string) func(context.Context) (*http.Request, error) {
	return func(ctx context.Context) (*http.Request, error) {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {identity}, "client_id": {clientID}, "scope": {strings.Join(scopes, " ")},
		}
		if service := r.challenge.Parameters["service"]; service != "" {
			form.Set("service", service)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.url.String(), strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err //nolint:wrapcheck // wrapped by exchange
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req, nil
	}
}

// exchange asks a token server.
func (c *Client) exchange(ctx context.Context, server realm, ask func(context.Context) (*http.Request, error)) (token string, status int, err error) {
	req, err := ask(ctx)
	if err != nil {
		return "", 0, fmt.Errorf("asking %s: %w", server.url.Host, err)
	}
	client := &http.Client{Transport: c.base, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		switch {
		case len(via) >= 10 || via[0].Method != http.MethodGet:
			return http.ErrUseLastResponse // what is posted is a secret
		default:
			return server.allows(next.URL)
		}
	}}
	resp, err := client.Do(req)
	if err != nil {
		return "", 0, fmt.Errorf("asking %s: %w", server.url.Host, classify(ctx, err))
	}
	if resp.StatusCode != http.StatusOK {
		return "", resp.StatusCode, refusal(resp)
	}
	defer closeBody(resp)
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"` // some set this one only
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxToken)).Decode(&answer); err != nil {
		return "", resp.StatusCode, fmt.Errorf("asking %s: %w: no token in its answer", server.url.Host, ErrUnexpected) // which may hold one
	}
	if answer.AccessToken != "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" {
		return "", resp.StatusCode, fmt.Errorf("asking %s: %w: no token in its answer", server.url.Host, ErrUnexpected)
	}
	return answer.Token, resp.StatusCode, nil
}

// realm is a token server, and how far its registry may lead us.
type realm struct {
	url      *url.URL
	registry string // host
	plain    bool   // the registry itself speaks plain http
	insecure []string
}

// realm reads where the registry wants tokens to come from.
func (c *Client) realm(r *registry) (realm, error) {
	server := realm{registry: r.name.RegistryStr(), plain: r.challenge.Insecure, insecure: c.options.Insecure}
	place, err := url.Parse(r.challenge.Parameters["realm"])
	if err != nil || place.Host == "" {
		return server, fmt.Errorf("asking %s: %w: realm %q is no address of a token server", r.name, ErrUnexpected, r.challenge.Parameters["realm"])
	}
	server.url = place
	return server, server.allows(place)
}

// allows says whether credentials may be sent to a place: over plain http only
// where the registry speaks that too, or the configuration calls the host
// insecure; to a private address only from a registry that has one, or has the
// same, or where the configuration names it.
func (s realm) allows(place *url.URL) error {
	named := slices.Contains(s.insecure, place.Host) || slices.Contains(s.insecure, place.Hostname())
	switch {
	case place.Scheme != "https" && (place.Scheme != "http" || !s.plain && !named):
		return fmt.Errorf("realm %s://%s of %s: %w: credentials are not sent over plain %s; image.insecure may name the host", place.Scheme, place.Host, s.registry, fleet.ErrDenied, place.Scheme)
	case named || !isPrivate(place.Hostname()):
		return nil
	}
	own, _, err := net.SplitHostPort(s.registry)
	if err != nil {
		own = s.registry
	}
	if place.Hostname() == own || isPrivate(own) || own == "localhost" {
		return nil
	}
	return fmt.Errorf("realm %s://%s of %s: %w: it is a private address, and the registry has none; image.insecure may name the host", place.Scheme, place.Host, s.registry, fleet.ErrDenied)
}

// isPrivate reports an address of the own network or machine. A name is none,
// whatever it leads to, unless it looks like a number: some resolvers read
// those.
func isPrivate(host string) bool {
	host, _, _ = strings.Cut(host, "%")
	if address, err := netip.ParseAddr(host); err == nil {
		address = address.Unmap()
		return address.IsPrivate() || address.IsLoopback() || address.IsLinkLocalUnicast() || address.IsLinkLocalMulticast() || address.IsUnspecified()
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && last[0] >= '0' && last[0] <= '9'
}

// bearer sends a repository's token with requests, and a new one where the
// registry takes the old one no more.
type bearer struct {
	client   *Client
	registry *registry
	auth     authn.Authenticator

	mu     sync.Mutex // held while asking for a token
	scopes []string
	token  string
}

// RoundTrip implements http.RoundTripper. A token is for the registry: where
// it leads to another host, that gets none.
func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	if !sameHost(req.URL, b.registry.name.RegistryStr()) {
		return b.elsewhere(req)
	}
	b.mu.Lock()
	token := b.token
	b.mu.Unlock()
	for round := 1; ; round++ {
		resp, err := b.send(req, token, round)
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
		challenge := bearerChallenge(resp.Header)
		// A new token may have ended too, where others use it as well; one that
		// lacks a right will lack it again.
		if challenge == nil || round > 1 && (challenge["error"] != "invalid_token" || round > maxRenewals) || !rewind(req) {
			return resp, nil
		}
		if token, err = b.renew(req.Context(), token, challenge["scope"]); err != nil {
			closeBody(resp)
			return nil, err
		}
		closeBody(resp)
	}
}

// maxRenewals of a token for one request.
const maxRenewals = 4

// rewind reports that a request can be sent again.
func rewind(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// elsewhere asks the host that the registry led to, and gets a token from it
// if that wants one: without credentials, which are not for it.
func (b *bearer) elsewhere(req *http.Request) (*http.Response, error) {
	resp, err := b.client.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !rewind(req) {
		return resp, err
	}
	challenge := bearerChallenge(resp.Header)
	host, err := name.NewRegistry(req.URL.Host, name.WeakValidation)
	if challenge == nil || err != nil {
		return resp, nil //nolint:nilerr // the refusal is the answer then
	}
	other := &registry{name: host, challenge: &transport.Challenge{Scheme: "bearer", Parameters: challenge, Insecure: req.URL.Scheme == "http"}}
	token, err := b.client.token(req.Context(), other, authn.Anonymous, strings.Fields(challenge["scope"]))
	if err != nil {
		return resp, nil //nolint:nilerr // the refusal is the answer then
	}
	closeBody(resp)
	return b.send(req, token, 2)
}

// send sends the request, or a copy with the body from its start.
func (b *bearer) send(req *http.Request, token string, round int) (*http.Response, error) {
	req = req.Clone(req.Context()) // a redirect takes the headers of the original along
	if round > 1 && req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err //nolint:wrapcheck // whoever made the request knows what it is
		}
		req.Body = body
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return b.client.base.RoundTrip(req)
}

// renew gets another token than the stale one, unless somebody did already.
// The scope that the registry asked for comes first: some servers look at that
// one only.
func (b *bearer) renew(ctx context.Context, stale, scope string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wanted := strings.Fields(scope)
	for _, have := range b.scopes {
		if !slices.Contains(wanted, have) {
			wanted = append(wanted, have)
		}
	}
	if b.token != stale && !slices.ContainsFunc(wanted, func(scope string) bool { return !slices.Contains(b.scopes, scope) }) {
		return b.token, nil
	}
	token, err := b.client.token(ctx, b.registry, b.auth, wanted)
	if err != nil {
		return "", fmt.Errorf("asking for another token for %s: %w", b.registry.name, err)
	}
	b.scopes, b.token = wanted, token
	return token, nil
}

// sameHost compares hosts, the scheme's own port written or not.
func sameHost(place *url.URL, registry string) bool {
	port := ":443"
	if place.Scheme == "http" {
		port = ":80"
	}
	return strings.EqualFold(strings.TrimSuffix(place.Host, port), strings.TrimSuffix(registry, port))
}

// bearerChallenge reads the parameters of the header's Bearer challenge; nil:
// there is none. RFC 9110, section 11.6.1.
func bearerChallenge(header http.Header) map[string]string {
	for _, value := range header.Values("WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
		if !strings.EqualFold(scheme, "bearer") {
			continue
		}
		parameters := map[string]string{}
		for rest != "" {
			var name, text string
			name, rest, _ = strings.Cut(strings.TrimLeft(rest, ", "), "=")
			if after, quoted := strings.CutPrefix(rest, `"`); quoted {
				text, rest = unquote(after)
			} else {
				text, rest, _ = strings.Cut(rest, ",")
			}
			parameters[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(text)
		}
		return parameters
	}
	return nil
}

// unquote reads up to the closing quote.
func unquote(text string) (inside, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:]
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), ""
}
