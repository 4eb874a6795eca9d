package gitops

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/file"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// remote is the server: sessions, credentials, and what it can do.
type remote struct {
	name   string // for people
	url    string
	proto  string // https | http | ssh | file
	client transport.Transport
	auth   func(context.Context) (transport.AuthMethod, error)

	caps *capability.List // of upload-pack; nil until advertised
	// moved: the first request was redirected, so every session asks anew.
	moved bool

	mu      sync.Mutex
	secrets []string // never to be shown
}

func newRemote(o Options) (*remote, error) {
	endpoint, err := transport.NewEndpoint(o.URL)
	if err != nil || o.URL == "" {
		return nil, errors.New("url: want https://host/owner/repository.git, ssh://, git@host:path or a path")
	}
	if endpoint.Password != "" {
		return nil, errors.New("url: holds a password; give credentials by the environment, never in the address")
	}
	r := &remote{url: o.URL, name: o.URL, proto: endpoint.Protocol}
	if u, err := url.Parse(o.URL); err == nil && u.User != nil && endpoint.Protocol != "ssh" {
		u.User = nil
		r.url, r.name = u.String(), u.String()
	}
	switch endpoint.Protocol {
	case "http", "https":
		carrier := o.Transport
		if carrier == nil {
			carrier = http.DefaultTransport
		}
		r.client = githttp.NewClient(&http.Client{Transport: carrier})
		r.auth = r.basicAuth(o.Auth)
	case "ssh":
		r.client = gitssh.NewClient(nil)
		r.auth = r.sshAuth(o.SSH, endpoint)
	case "file":
		r.client = file.DefaultClient
		r.auth = func(context.Context) (transport.AuthMethod, error) { return nil, nil } //nolint:nilnil // a local path has no credentials
	default:
		return nil, fmt.Errorf("url: protocol %q is not supported", endpoint.Protocol)
	}
	return r, nil
}

// basicAuth takes fresh credentials for every session: tokens of apps expire.
func (r *remote) basicAuth(give func(context.Context) (string, string, error)) func(context.Context) (transport.AuthMethod, error) {
	return func(ctx context.Context) (transport.AuthMethod, error) {
		if give == nil {
			return nil, nil //nolint:nilnil // anonymous
		}
		user, password, err := give(ctx)
		if err != nil {
			return nil, fmt.Errorf("getting credentials: %w", err)
		}
		if password == "" {
			return nil, nil //nolint:nilnil // anonymous
		}
		r.hide(password)
		if user == "" {
			user = "x-access-token"
		}
		return &githttp.BasicAuth{Username: user, Password: password}, nil
	}
}

// sshAuth always checks the host key against known_hosts, and offers only the
// kinds of host key that are known, so that a server with several is accepted.
func (r *remote) sshAuth(o SSH, endpoint *transport.Endpoint) func(context.Context) (transport.AuthMethod, error) {
	r.hide(o.Passphrase)
	return func(context.Context) (transport.AuthMethod, error) {
		hosts, err := gitssh.NewKnownHostsDb(o.KnownHosts...)
		if err != nil {
			return nil, fmt.Errorf("reading known_hosts: %w", err)
		}
		port := endpoint.Port
		if port == 0 {
			port = gitssh.DefaultPort
		}
		helper := gitssh.HostKeyCallbackHelper{
			HostKeyCallback:   hosts.HostKeyCallback(),
			HostKeyAlgorithms: hosts.HostKeyAlgorithms(fmt.Sprintf("%s:%d", endpoint.Host, port)),
		}
		user := endpoint.User
		if user == "" {
			user = "git"
		}
		if len(o.Key) == 0 {
			agent, err := gitssh.NewSSHAgentAuth(user)
			if err != nil {
				return nil, fmt.Errorf("%w: no SSH key given and no agent: %w", fleet.ErrSSHKey, err)
			}
			agent.HostKeyCallbackHelper = helper
			return agent, nil
		}
		keys, err := gitssh.NewPublicKeys(user, o.Key, o.Passphrase)
		if err != nil {
			return nil, fmt.Errorf("%w: reading the SSH key: %w", fleet.ErrSSHKey, err)
		}
		keys.HostKeyCallbackHelper = helper
		return keys, nil
	}
}

func (r *remote) hide(secret string) {
	if len(secret) < 4 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.secrets {
		if known == secret {
			return
		}
	}
	r.secrets = append(r.secrets, secret, url.QueryEscape(secret))
}

func (r *remote) scrub(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range r.secrets {
		text = strings.ReplaceAll(text, secret, "REDACTED")
	}
	return text
}

// stateless: every request of the protocol is one HTTP exchange.
func (r *remote) stateless() bool { return r.proto == "http" || r.proto == "https" }

// filters reports whether the server leaves out files and gives them out one by
// one later. Over HTTP git answers for any reachable object; other transports
// have to say so.
func (r *remote) filters() bool {
	return r.caps != nil && r.caps.Supports(capability.Filter) &&
		(r.stateless() || r.caps.Supports(capability.AllowReachableSHA1InWant))
}

// upload opens a session for fetching. The refs are asked for only where the
// protocol needs them.
func (r *remote) upload(ctx context.Context) (transport.UploadPackSession, error) {
	endpoint, auth, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	session, err := r.client.NewUploadPackSession(endpoint, auth)
	if err != nil {
		return nil, err
	}
	if r.stateless() && r.caps != nil && !r.moved {
		return session, nil
	}
	advertised, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	r.caps = advertised.Capabilities
	r.note(endpoint)
	return session, nil
}

func (r *remote) open(ctx context.Context) (*transport.Endpoint, transport.AuthMethod, error) {
	endpoint, err := transport.NewEndpoint(r.url)
	if err != nil {
		return nil, nil, err
	}
	auth, err := r.auth(ctx)
	return endpoint, auth, err
}

func (r *remote) note(endpoint *transport.Endpoint) {
	if original, err := transport.NewEndpoint(r.url); err == nil && original.String() != endpoint.String() {
		r.moved = true
	}
}

// advertise asks for the refs.
func (r *remote) advertise(ctx context.Context) (map[string]plumbing.Hash, error) {
	var refs map[string]plumbing.Hash
	err := r.retry(ctx, func() error {
		endpoint, auth, err := r.open(ctx)
		if err != nil {
			return err
		}
		session, err := r.client.NewUploadPackSession(endpoint, auth)
		if err != nil {
			return err
		}
		defer session.Close() //nolint:errcheck // nothing was written
		advertised, err := session.AdvertisedReferencesContext(ctx)
		if err != nil {
			return err
		}
		r.caps, refs = advertised.Capabilities, advertised.References
		r.note(endpoint)
		return nil
	})
	return refs, err
}

// retry repeats what only reads, when the server or the way to it stumbled.
func (r *remote) retry(ctx context.Context, do func() error) error {
	for wait := time.Second; ; wait *= 3 {
		err := do()
		if err == nil || wait > 5*time.Second || !passing(err) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// passing tells errors that a second try may not meet: 5xx and broken
// connections, not refused ones.
func passing(err error) bool {
	if status := statusOf(err); status != 0 {
		return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
	}
	return errors.Is(err, io.ErrUnexpectedEOF)
}

// statusOf is the HTTP status behind an error of go-git, or 0. go-git's
// UnexpectedError has no Unwrap.
func statusOf(err error) int {
	var unexpected *plumbing.UnexpectedError
	if errors.As(err, &unexpected) {
		err = unexpected.Err
	}
	var status *githttp.Err
	if errors.As(err, &status) {
		return status.StatusCode()
	}
	return 0
}

// remoteError is an error of the server or the way to it. It unwraps to a
// sentinel only: what lies beneath may hold credentials.
type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }

// fail says what went wrong, without secrets.
func (r *remote) fail(doing string, err error) error {
	var known *remoteError
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	text, kind := r.explain(err)
	return &remoteError{kind: kind, text: r.scrub(fmt.Sprintf("%s %s: %s", doing, r.name, text))}
}

func (r *remote) explain(err error) (text string, kind error) {
	cause := strings.TrimSpace(err.Error())
	switch status := statusOf(err); {
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return "the server wants other credentials (" + cause + "): " + fleet.ErrDenied.Error(), fleet.ErrDenied
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return "the credentials lack a right; pushing needs the permission contents: write (" + cause + "): " + fleet.ErrDenied.Error(), fleet.ErrDenied
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return "no such repository, or the credentials may not see it: " + fleet.ErrNotFound.Error(), fleet.ErrNotFound
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fleet.ErrEmpty.Error(), fleet.ErrEmpty
	case errors.Is(err, fleet.ErrSSHKey):
		return cause, fleet.ErrSSHKey
	case errors.Is(err, fleet.ErrDenied):
		return cause, fleet.ErrDenied
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return fmt.Sprintf("the server answered %d: %s", status, fleet.ErrUnavailable), fleet.ErrUnavailable
	case status != 0:
		return fmt.Sprintf("the server answered %d", status), nil
	// The protocol gives these as text only.
	case strings.Contains(cause, "object-format=sha256"):
		return "the repository's object ids are SHA-256, which go-git does not read: " + fleet.ErrUnsupported.Error(), fleet.ErrUnsupported
	case strings.Contains(cause, "not our ref"), strings.Contains(cause, "no such remote ref"):
		return "the server does not have that commit: " + fleet.ErrNotFound.Error(), fleet.ErrNotFound
	case strings.Contains(cause, "knownhosts:"), strings.Contains(cause, "known_hosts"):
		return "the server's host key is not a known one (" + cause + "): " + fleet.ErrDenied.Error(), fleet.ErrHostKey
	case strings.Contains(cause, "ssh: unable to authenticate"):
		return "the SSH key is not accepted: " + fleet.ErrDenied.Error(), fleet.ErrSSHKey
	}
	if untrusted(err) {
		return cause + ": " + fleet.ErrUntrusted.Error(), fleet.ErrUntrusted
	}
	if unreachable(err) {
		return cause + ": " + fleet.ErrUnavailable.Error(), fleet.ErrUnavailable
	}
	return cause, nil
}

// untrusted tells errors of a certificate. go-git's UnexpectedError has no
// Unwrap.
func untrusted(err error) bool {
	var unexpected *plumbing.UnexpectedError
	if errors.As(err, &unexpected) {
		err = unexpected.Err
	}
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

// unreachable tells errors of the network from others.
func unreachable(err error) bool {
	var unexpected *plumbing.UnexpectedError
	if errors.As(err, &unexpected) {
		err = unexpected.Err
	}
	var address *url.Error
	var network interface{ Timeout() bool }
	return errors.As(err, &address) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF)
}
