package pullrequest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// apiError is an error of GitHub or the way to it, in our words. It unwraps to
// a sentinel only.
type apiError struct {
	text   string
	kind   error
	status int
}

func (e *apiError) Error() string { return e.text }
func (e *apiError) Unwrap() error { return e.kind }

// explain says what went wrong: what we did, what GitHub said, and for a
// missing permission which one and for which call.
func explain(doing string, err error) error {
	var (
		known    *apiError
		waiting  *waitError
		response *github.ErrorResponse
		primary  *github.RateLimitError // of what does not go through our transport
		abuse    *github.AbuseRateLimitError
		network  *url.Error
		trust    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &primary), errors.As(err, &abuse):
		return &apiError{text: doing + ": GitHub's rate limit is used up: " + fleet.ErrUnavailable.Error() + ", the next run continues", kind: fleet.ErrLimited}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.As(err, &known):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.As(err, &waiting):
		return &apiError{text: doing + ": " + waiting.text, kind: fleet.ErrLimited}
	case errors.As(err, &response):
		return fromResponse(doing, response)
	case errors.As(err, &trust):
		return &apiError{text: fmt.Sprintf("%s: %v: %s", doing, err, fleet.ErrUntrusted), kind: fleet.ErrUntrusted}
	case errors.As(err, &network):
		if errors.Is(err, fleet.ErrDenied) || errors.Is(err, fleet.ErrNotFound) || errors.Is(err, fleet.ErrLimited) {
			return fmt.Errorf("%s: %w", doing, network.Err)
		}
		return &apiError{text: fmt.Sprintf("%s: %s does not answer: %v: %s", doing, server(network.URL), network.Err, fleet.ErrUnavailable), kind: fleet.ErrUnavailable}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// server is the scheme and host of an address.
func server(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "GitHub"
	}
	return u.Scheme + "://" + u.Host
}

func fromResponse(doing string, r *github.ErrorResponse) error {
	status, call := 0, ""
	permission := ""
	if r.Response != nil {
		status = r.Response.StatusCode
		if q := r.Response.Request; q != nil {
			call = q.Method + " " + q.URL.Path
		}
		permission = cmp.Or(r.Response.Header.Get("X-Accepted-Github-Permissions"), r.Response.Header.Get("X-Accepted-Oauth-Scopes"))
	}
	message := r.Message
	for _, problem := range r.Errors {
		message = strings.TrimPrefix(message+"; "+cmp.Or(problem.Message, strings.TrimSpace(problem.Field+" "+problem.Code)), "; ")
	}
	e := &apiError{status: status}
	method, _, _ := strings.Cut(call, " ")
	switch {
	case status == http.StatusUnauthorized:
		e.kind = fleet.ErrDenied
		message = "GitHub does not accept the token (" + message + ")"
	case status == http.StatusForbidden && strings.HasPrefix(r.Response.Header.Get("X-Github-Sso"), "required"):
		// The address in the header is a credential of a kind.
		e.kind = fleet.ErrDenied
		message = fmt.Sprintf("the organization wants the token to be authorized for its single sign-on, in the token's settings (%s)", call)
	case status == http.StatusForbidden:
		e.kind = fleet.ErrDenied
		if permission == "" {
			permission = permissionFor(call)
		}
		message = fmt.Sprintf("the token lacks a permission: %s needs %s (%s)", call, permission, message)
	case status == http.StatusNotFound, status == http.StatusGone:
		e.kind = fleet.ErrNotFound
		message = fmt.Sprintf("not there, or the token may not see it (%s)", call)
		if method != http.MethodGet && status == http.StatusNotFound { // a classic token without its scope gets this too
			message = fmt.Sprintf("not there, or the token may not see it: %s needs %s", call, cmp.Or(permission, permissionFor(call)))
		}
	case status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		e.kind = fleet.ErrUnavailable
		message = fmt.Sprintf("GitHub answered %d to %s", status, call)
	default:
		message = fmt.Sprintf("GitHub answered %d to %s: %s", status, call, message)
	}
	e.text = doing + ": " + message
	if e.kind != nil {
		e.text += ": " + e.kind.Error()
	}
	return e
}

// permissionFor names what a call needs, for answers that do not;
// https://docs.github.com/rest/authentication/permissions-required-for-fine-grained-personal-access-tokens.
func permissionFor(call string) string {
	method, path, _ := strings.Cut(call, " ")
	level := "write"
	if method == http.MethodGet {
		level = "read"
	}
	within := func(part string) bool { return strings.HasSuffix(path, part) || strings.Contains(path, part+"/") }
	_, repository, found := strings.Cut(path, "/repos/")
	if !found {
		switch {
		case strings.HasSuffix(path, "/graphql"):
			return "pull_requests=" + level
		case strings.HasSuffix(path, "/user"):
			return "a token that is valid, whatever it may do"
		}
		return "metadata=read"
	}
	if parts := strings.SplitN(repository, "/", 3); len(parts) == 3 {
		path = "/" + parts[2] // a repository may be called "issues"
	} else {
		return "metadata=read" // the repository itself
	}
	switch {
	case within("/pulls"):
		return "pull_requests=" + level
	case within("/issues"), within("/labels"), within("/milestones"):
		return "issues=" + level
	case within("/collaborators"), within("/assignees"):
		return "metadata=read"
	case within("/check-runs"):
		return "checks=read"
	case within("/status"):
		return "statuses=read"
	}
	return "contents=" + level
}

func statusOf(err error) int {
	var known *apiError
	var response *github.ErrorResponse
	switch {
	case errors.As(err, &known):
		return known.status
	case errors.As(err, &response) && response.Response != nil:
		return response.Response.StatusCode
	}
	return 0
}
