package pullrequest

import (
	"context"
	"crypto/rsa"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options of New and NewInstallation. Repository, Base, Now and Sleep are
// required, and one of Token and App.
type Options struct {
	// Repository is the repository's address as git has it; see ParseAddress.
	Repository string
	// API overrides the address of the REST API; empty: derived from Repository.
	API  string
	Base string // branch that pull requests go to
	// BranchPrefix is what our branches begin with; List leaves others out.
	BranchPrefix string
	// Former are logins that we had before: what they opened is ours too.
	Former []string
	Token  string
	App    *App
	// Transport carries the requests, with proxies and certificates configured
	// in it; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Pace is the least time between two writes; GitHub asks for a second. A
	// shorter one is for a forge that has no such limits: then there are no
	// budgets by default either.
	Pace time.Duration
	// PerMinute and PerHour are the budgets of writes; zero: 80 and 500, GitHub's
	// secondary limits for what creates content; negative: none.
	PerMinute, PerHour int
	// Patience is how long all waiting for limits together may take; beyond it
	// the run gives up with fleet.ErrUnavailable. Zero: 15 minutes.
	Patience time.Duration
	Now      func() time.Time
	Sleep    func(ctx context.Context, d time.Duration) error
	Log      *slog.Logger // nil: silence
}

// App is a GitHub App; its installation in the repository is looked up.
type App struct {
	ID  int64
	Key *rsa.PrivateKey // see ParseAppKey
}

func (o *Options) complete() (Address, error) {
	address, err := ParseAddress(o.Repository)
	if err != nil {
		return Address{}, err
	}
	if o.API != "" {
		if address.API, err = url.Parse(strings.TrimSuffix(o.API, "/") + "/"); err != nil || address.API.Host == "" {
			return Address{}, errors.New("opening the forge: the API's address is no URL")
		}
		address.GraphQL = address.API.JoinPath("../graphql")
		if !strings.HasSuffix(address.API.Path, "/v3/") {
			address.GraphQL = address.API.JoinPath("graphql")
		}
	}
	switch {
	case o.Base == "":
		return Address{}, errors.New("opening the forge: no base branch")
	case o.Token == "" && (o.App == nil || o.App.Key == nil):
		return Address{}, errors.New("opening the forge: no credentials")
	case o.Now == nil || o.Sleep == nil:
		return Address{}, errors.New("opening the forge: Now and Sleep are required")
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Patience == 0 {
		o.Patience = 15 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.PerMinute == 0 && o.Pace >= time.Second {
		o.PerMinute = 80
	}
	if o.PerHour == 0 && o.Pace >= time.Second {
		o.PerHour = 500
	}
	return address, nil
}
