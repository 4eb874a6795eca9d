package cluster

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// The tokens of the two users. They open nothing but this sandbox.
const (
	adminToken  = "sandbox-admin"
	readerToken = "sandbox-reader"
	adminUser   = "sandbox-admin"
)

// rules are what the reader may do.
type rules struct {
	roles    map[string][]rbacv1.PolicyRule // ClusterRole by name, Role by namespace/name
	cluster  []string                       // roles bound everywhere
	bindings map[string][]string            // namespace -> roles bound in it
}

// readRules reads Role, ClusterRole, RoleBinding and ClusterRoleBinding
// documents as far as they concern the service account.
func readRules(text []byte, namespace, account string) (rules, error) {
	r := rules{roles: map[string][]rbacv1.PolicyRule{}, bindings: map[string][]string{}}
	concerns := func(subjects []rbacv1.Subject) bool {
		return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
			return s.Kind == "ServiceAccount" && s.Name == account && s.Namespace == namespace
		})
	}
	for _, document := range splitYAML(text) {
		// The four kinds have no field in common that differs in type.
		var o struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
			Rules    []rbacv1.PolicyRule
			Subjects []rbacv1.Subject
			RoleRef  rbacv1.RoleRef
		}
		if err := yaml.Unmarshal(document, &o); err != nil {
			return rules{}, fmt.Errorf("reading roles: %w", err)
		}
		ref := o.RoleRef.Name
		if o.RoleRef.Kind == "Role" {
			ref = o.Metadata.Namespace + "/" + ref
		}
		switch o.Kind {
		case "ClusterRole":
			r.roles[o.Metadata.Name] = o.Rules
		case "Role":
			r.roles[o.Metadata.Namespace+"/"+o.Metadata.Name] = o.Rules
		case "ClusterRoleBinding":
			if concerns(o.Subjects) {
				r.cluster = append(r.cluster, ref)
			}
		case "RoleBinding":
			if concerns(o.Subjects) {
				r.bindings[o.Metadata.Namespace] = append(r.bindings[o.Metadata.Namespace], ref)
			}
		}
	}
	return r, nil
}

// defaultRules let the reader get and list everything but secrets.
func defaultRules(resources []resource, grants []string) rules {
	rule := rbacv1.PolicyRule{Verbs: []string{"get", "list"}, APIGroups: []string{"*"}, Resources: []string{"pods/log"}}
	for _, r := range resources {
		if r.Plural != "secrets" {
			rule.Resources = append(rule.Resources, r.Plural)
		}
	}
	r := rules{roles: map[string][]rbacv1.PolicyRule{"reader": {rule}}, bindings: map[string][]string{}}
	if len(grants) == 0 {
		r.cluster = []string{"reader"}
	}
	for _, namespace := range grants {
		r.bindings[namespace] = []string{"reader"}
	}
	return r
}

func (r rules) allow(a attributes) bool {
	bound := r.cluster
	if a.namespace != "" {
		bound = slices.Concat(bound, r.bindings[a.namespace])
	}
	target := strings.TrimSuffix(a.resource+"/"+a.subresource, "/")
	has := func(list []string, item string) bool {
		return slices.Contains(list, item) || slices.Contains(list, "*")
	}
	for _, role := range bound {
		for _, rule := range r.roles[role] {
			if has(rule.Verbs, a.verb) && has(rule.APIGroups, a.group) && has(rule.Resources, target) &&
				(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.name)) {
				return true
			}
		}
	}
	return false
}

func (c *Cluster) readerUser() string {
	return "system:serviceaccount:" + c.options.ReaderNamespace + ":" + c.options.Reader
}

func (c *Cluster) authenticate(r *http.Request) (user string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.Header.Get("Authorization") {
	case "Bearer " + adminToken:
		return adminUser, true
	case "Bearer " + readerToken:
		return c.readerUser(), !c.expired
	}
	return "", false
}

func (c *Cluster) authorize(a attributes) bool {
	return a.user == adminUser || c.rules.allow(a)
}

func (c *Cluster) failure(a attributes) *Failure {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inject == nil || a.user == adminUser {
		return nil
	}
	return c.inject(Request{
		User: a.user, Verb: a.verb, Group: a.group, Resource: strings.TrimSuffix(a.resource+"/"+a.subresource, "/"),
		Namespace: a.namespace, Name: a.name,
	})
}

// splitYAML parts a stream into its documents; empty ones are dropped.
func splitYAML(text []byte) [][]byte {
	var documents [][]byte
	var current []string
	flush := func() {
		joined := strings.Join(current, "\n")
		if strings.TrimSpace(joined) != "" {
			documents = append(documents, []byte(joined))
		}
		current = nil
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\r\n", "\n")) {
		line = strings.TrimSuffix(line, "\n")
		if line == "---" || strings.HasPrefix(line, "--- ") {
			flush()
			continue
		}
		current = append(current, line)
	}
	flush()
	return documents
}
