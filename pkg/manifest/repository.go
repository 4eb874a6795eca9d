package manifest

import (
	"path"
	"strings"

	"github.com/otelshift/otelshift/pkg/appset"
)

// foreignSource reports the address of another repository than the one that is read.
// One repository has many addresses: HTTPS, SSH, a service's name inside the
// cluster, a mirror of another owner. So only its name is compared.
func (x *index) foreignSource(url string) bool {
	ours, theirs := repositoryName(x.repository), repositoryName(url)
	return ours != "" && theirs != "" && !appset.Unknown(url) && ours != theirs
}

// repositoryName is the last part of a repository's address; empty where it has
// no host.
func repositoryName(url string) string {
	scheme, rest, found := strings.Cut(url, "://")
	if !found {
		rest = strings.Replace(url, ":", "/", 1) // git@host:path
	}
	host, rest, _ := strings.Cut(strings.TrimRight(rest, "/"), "/")
	if host == "" || strings.HasPrefix(host, ".") || scheme == "file" || rest == "" {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(path.Base(rest), ".git"))
}

// ownSources leaves the folders and charts out that Applications take from other
// repositories: a path here may have the same name.
func (x *index) ownSources() {
	kept := x.applications[:0]
	for _, a := range x.applications {
		if !x.foreignSource(a.url) {
			kept = append(kept, a)
		}
	}
	x.applications = kept
	for i, s := range x.helm {
		if x.foreignSource(s.url) {
			x.helm[i].chart = ""
		}
	}
}

// valueFile is the path in the repository of a values file that a source names;
// empty: it is elsewhere.
func (r *releaser) valueFile(s helmSource, name string) string {
	if r.elsewhere(s, name) != "" {
		return ""
	}
	return valueFile(s.chart, name)
}

// elsewhere is the address of the other repository that holds a values file;
// empty: it is in this one, as far as is known.
func (r *releaser) elsewhere(s helmSource, name string) string {
	ref, _, _ := strings.Cut(name, "/")
	if url := s.refs[strings.TrimPrefix(ref, "$")]; strings.HasPrefix(ref, "$") && r.index.foreignSource(url) {
		return url
	}
	if !strings.HasPrefix(ref, "$") && !strings.Contains(name, "://") && r.index.foreignSource(s.url) {
		return s.url
	}
	return ""
}
