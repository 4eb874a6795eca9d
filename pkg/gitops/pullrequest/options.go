package pullrequest

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options of New. Repository and Base are required, and one of Token and App.
type Options struct {
	// Repository is the repository's address as git has it: https, ssh or
	// git@host:owner/name.
	Repository string
	// API overrides the address of the REST API; empty: derived from
	// Repository ("https://api.github.com/", else "https://host/api/v3/").
	API  string
	Base string // branch that pull requests go to
	// BranchPrefix is how our head branches begin.
	BranchPrefix string
	Token        string
	App          *App
	// Transport carries the requests, with proxies and certificates configured
	// in it; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Pace is the least time between two mutations; GitHub asks for a second.
	Pace time.Duration
	// Patience is how long all waiting for limits together may take; beyond it
	// the run gives up with fleet.ErrUnavailable. Zero: 10 minutes.
	Patience time.Duration
	Now      func() time.Time
	Sleep    func(ctx context.Context, d time.Duration) error
	Log      *slog.Logger // nil: silence
}

// App is a GitHub App; its installation in the repository is looked up.
type App struct {
	ID  int64
	Key *rsa.PrivateKey
}

// Location is where a repository is on a forge.
type Location struct {
	Host        string // with the port, if any
	Scheme      string // https, or http for a forge on loopback
	Owner, Name string
}

// Locate reads owner and name from a repository's address.
func Locate(address string) (Location, error) {
	bad := fmt.Errorf("repository %q: want https://host/owner/name or git@host:owner/name", redactURL(address))
	if !strings.Contains(address, "://") {
		host, path, ok := strings.Cut(address, ":")
		if !ok || strings.Contains(host, "/") {
			return Location{}, bad
		}
		if _, after, found := strings.Cut(host, "@"); found {
			host = after
		}
		return locate("https", host, path, bad)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return Location{}, bad
	}
	switch u.Scheme {
	case "http", "https":
		return locate(u.Scheme, u.Host, u.Path, bad)
	case "ssh", "git+ssh":
		return locate("https", u.Hostname(), u.Path, bad)
	}
	return Location{}, bad
}

func locate(scheme, host, path string, bad error) (Location, error) {
	parts := strings.Split(strings.TrimSuffix(strings.Trim(path, "/"), ".git"), "/")
	if host == "" || len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return Location{}, bad
	}
	return Location{Host: host, Scheme: scheme, Owner: parts[0], Name: parts[1]}, nil
}

// API is the address of the REST API on the location's host.
//
// https://docs.github.com/enterprise-server/rest/quickstart
func (l Location) API() string {
	if l.Host == "github.com" || l.Host == "www.github.com" || l.Host == "ssh.github.com" {
		return "https://api.github.com/"
	}
	if name, tenant := strings.CutSuffix(l.Host, ".ghe.com"); tenant {
		return "https://api." + name + ".ghe.com/"
	}
	return l.Scheme + "://" + l.Host + "/api/v3/"
}

// GraphQL is the address of the GraphQL API that belongs to a REST address.
func graphQL(api *url.URL) string {
	u := *api
	if path, ok := strings.CutSuffix(strings.TrimSuffix(u.Path, "/"), "/v3"); ok {
		u.Path = path + "/graphql"
	} else {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/graphql"
	}
	return u.String()
}

func redactURL(address string) string {
	if u, err := url.Parse(address); err == nil && u.User != nil {
		return u.Redacted()
	}
	return address
}

func (o *Options) complete() error {
	switch {
	case o.Base == "":
		return errors.New("opening the forge: no base branch")
	case o.Token == "" && o.App == nil:
		return errors.New("opening the forge: no credentials")
	case o.Now == nil || o.Sleep == nil:
		return errors.New("opening the forge: Now and Sleep are required")
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
