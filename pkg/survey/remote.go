package survey

import (
	"net/url"
	"strings"
)

// Remote finds where a clone came from: config is its .git/config, head its
// .git/HEAD. The URL is without credentials; both are empty where nothing is
// known. git-config(1), "Syntax".
func Remote(config, head []byte) (remote, branch string) {
	inOrigin := false
	for line := range strings.Lines(string(config)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inOrigin = line == `[remote "origin"]`
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && inOrigin && strings.TrimSpace(key) == "url" {
			remote = withoutCredentials(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	branch, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: refs/heads/")
	if !ok {
		branch = ""
	}
	return remote, branch
}

// withoutCredentials drops user and password of an http URL, which hold a
// token; the user of an ssh URL is part of the address.
func withoutCredentials(remote string) string {
	u, err := url.Parse(remote)
	if err != nil || u.User == nil {
		return remote
	}
	if _, secret := u.User.Password(); secret || u.Scheme != "ssh" {
		u.User = nil
	}
	return u.String()
}
