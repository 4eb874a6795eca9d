package pullrequest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Address says where a repository's API is.
type Address struct {
	API     *url.URL // ends in a slash
	GraphQL *url.URL
	Owner   string
	Repo    string
}

// ParseAddress reads a repository's address as git knows it: https://, ssh://
// or git@host:owner/repo. github.com has its API at api.github.com, every other
// host is taken for GitHub Enterprise Server, with its API at https://host/api/v3.
func ParseAddress(repository string) (Address, error) {
	host, path, scheme := "", "", "https"
	if user, rest, found := strings.Cut(repository, "@"); found && !strings.Contains(repository, "://") && !strings.ContainsAny(user, "/:") {
		host, path, found = strings.Cut(rest, ":")
		if !found {
			return Address{}, badAddress()
		}
	} else {
		u, err := url.Parse(repository)
		if err != nil {
			return Address{}, badAddress()
		}
		host, path = u.Host, u.Path
		switch u.Scheme {
		case "https":
		case "http":
			scheme = "http"
		case "ssh", "git+ssh":
			host = u.Hostname() // ssh's port is not the API's
		default:
			return Address{}, badAddress()
		}
	}
	parts := strings.Split(strings.Trim(strings.TrimSuffix(strings.TrimSuffix(path, "/"), ".git"), "/"), "/")
	if host == "" || len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return Address{}, badAddress()
	}
	a := Address{Owner: parts[0], Repo: parts[1]}
	switch name := strings.ToLower(host); name {
	case "github.com", "www.github.com", "ssh.github.com", "github.com:443":
		a.API = &url.URL{Scheme: "https", Host: "api.github.com", Path: "/"}
		a.GraphQL = &url.URL{Scheme: "https", Host: "api.github.com", Path: "/graphql"}
	default:
		if strings.HasSuffix(name, ".ghe.com") { // GitHub Enterprise Cloud with data residency
			a.API = &url.URL{Scheme: "https", Host: "api." + host, Path: "/"}
			a.GraphQL = &url.URL{Scheme: "https", Host: "api." + host, Path: "/graphql"}
			break
		}
		a.API = &url.URL{Scheme: scheme, Host: host, Path: "/api/v3/"}
		a.GraphQL = &url.URL{Scheme: scheme, Host: host, Path: "/api/graphql"}
	}
	if scheme == "http" && !loopback(host) {
		return Address{}, fmt.Errorf("address of %s: a token would go over plain http; use https", host)
	}
	return a, nil
}

// badAddress does not repeat the address: it may hold a password.
func badAddress() error {
	return errors.New("address of the repository: want https://host/owner/repo, ssh://git@host/owner/repo or git@host:owner/repo")
}

func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || (ip != nil && ip.IsLoopback())
}
