package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
)

// explain adds what the user can do about a failure of an effect.
func (e *env) explain(err error) error {
	if err == nil {
		return nil
	}
	return withHint(err, remedy(err))
}

// remedy is the next step after a failure, the most special cause first; empty
// where nothing special is known.
func remedy(err error) string {
	var refused *fleet.RefusedError
	var lookup *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, fleet.ErrEmpty):
		return "push a first commit to it, or correct spec.repository.url"
	case errors.Is(err, migrate.ErrNoManifests):
		return "name the folder that holds the manifests with --dir, or correct repository.include"
	case errors.Is(err, fleet.ErrNoBranch):
		return "spec.repository.branch names the branch that Argo CD deploys from"
	case errors.Is(err, fleet.ErrHostKey):
		return "compare the key with the one that the server's owner publishes, and put it into ~/.ssh/known_hosts; SSH_KNOWN_HOSTS names another file"
	case errors.Is(err, fleet.ErrSSHKey):
		return "put the private key into OTELSHIFT_SSH_KEY, or run an SSH agent; an https:// URL takes GITHUB_TOKEN instead"
	case errors.Is(err, fleet.ErrUntrusted), errors.As(err, &certificate):
		return "SSL_CERT_FILE names a file with the certificates of the authorities to trust, your company's and the public ones (PEM)"
	case errors.Is(err, fleet.ErrDenied):
		return "credentials come from the environment: GITHUB_TOKEN or GITHUB_APP_ID for git and GitHub, the Docker config for registries, kubeconfig for clusters"
	case errors.As(err, &lookup) && lookup.IsNotFound, errors.Is(err, fleet.ErrUnavailable) && strings.Contains(err.Error(), "no such host"):
		return "check the host's name; where only a proxy knows it, set HTTPS_PROXY"
	case errors.Is(err, fleet.ErrUnavailable):
		return "nothing is lost: the same command continues when the server answers again"
	case errors.Is(err, fleet.ErrStale):
		return "somebody else was faster: run the same command again"
	case errors.Is(err, fleet.ErrNotFound):
		return "check the name, and whether the credentials may see it"
	case errors.As(err, &refused):
		return "docs/reasons.md, " + string(refused.Reason.Code) + ", says what helps"
	}
	return ""
}

// explainOnline is explain for commands that can do without a registry.
func (e *env) explainOnline(c *cli.Context, err error) error {
	if c.Bool("offline") || !errors.Is(err, migrate.ErrAgent) {
		return e.explain(err)
	}
	return withHint(e.explain(err), "with --offline no registry is asked; new images then have no digest yet")
}

// anyway is the hint of an error that brings none: no error leaves people
// without a next step.
func (e *env) anyway(err error) string {
	var invalid *config.InvalidError
	switch code := exitCode(err); {
	case errors.As(err, &invalid):
		return "docs/configuration.md describes every key; \"otelshift config schema\" prints a schema for editors"
	case code == codeUsage:
		return fmt.Sprintf("run %q for what it takes", strings.TrimSpace(program+" help "+strings.Join(e.command, " ")))
	case code == codeFound:
		return `"otelshift status" shows where every workload stands`
	}
	return "nothing that was done is lost; --log-level debug shows every step of another try"
}

// near is the known name that was meant, if err is about an unknown one.
func near(err error) string {
	var unknown *migrate.UnknownError
	if !errors.As(err, &unknown) {
		return ""
	}
	_, hint := oneOf(unknown.Got, unknown.Known)
	return hint
}

// oneOf lists values for an error about a value that is none of them.
func oneOf(got string, values []string) (list, hint string) {
	if near := config.Nearest(got, values); near != "" {
		hint = "did you mean " + near + "?"
	}
	return strings.Join(values, ", "), hint
}
