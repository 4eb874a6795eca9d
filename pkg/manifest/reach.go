package manifest

import (
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// backendName is what SkyWalking and its backend, OAP, are called.
var backendName = regexp.MustCompile(`(?i)skywalking|(^|[^a-z0-9])oap([^a-z0-9]|$)`)

// backendPort is where agents report to OAP.
const backendPort = "11800"

// ways are the parts of an object that let pods reach others, by kind.
//
//nolint:gochecknoglobals // lookup table
var ways = map[string][]string{
	"NetworkPolicy": {"egress"}, "GlobalNetworkPolicy": {"egress"},
	"CiliumNetworkPolicy": {"egress", "egressDeny"}, "CiliumClusterwideNetworkPolicy": {"egress", "egressDeny"},
	"EgressFirewall": {"egress"}, "EgressNetworkPolicy": {"egress"},
	"Sidecar": {"egress"}, "ServiceEntry": {"hosts", "endpoints", "addresses"},
}

// reached notes where an object opens the way to SkyWalking's backend: nothing
// needs it once the agents have gone. What belongs to the backend itself, by its
// namespace or by the pods that it is for, is none of theirs.
func (f *facts) reached(file *yamledit.File, d yamledit.Document, object *yaml.Node, item int, subject string) {
	parts, spec := ways[field(object, "kind")], child(object, "spec")
	if len(parts) == 0 || spec == nil || !strings.Contains(field(object, "apiVersion"), "/") {
		return
	}
	if ofBackend(object) {
		return
	}
	var named, ports []mention
	yamledit.Walk(spec, func(p yamledit.Path, n *yaml.Node) bool {
		if n.Kind != yaml.ScalarNode || len(p) == 0 || !slices.Contains(parts, p[0].Key) {
			return true
		}
		at := place(file, n)
		note := func(list *[]mention, what string) {
			*list = append(*list, mention{
				Remaining: fleet.Remaining{Place: at, What: subject + ": spec." + p.String() + what}, start: at.Line, after: at.Line - 1, document: d.Index, item: item,
			})
		}
		switch {
		case backendName.MatchString(n.Value):
			note(&named, " opens the way to SkyWalking")
		case n.Value == backendPort:
			note(&ports, " opens the way to SkyWalking's port")
		}
		return true
	})
	if len(named) == 0 {
		named = ports
	}
	f.mentions = append(f.mentions, named...)
}

// ofBackend reports an object that belongs to the backend, by its namespace or
// by the pods that it is for.
func ofBackend(object *yaml.Node) bool {
	own := backendName.MatchString(field(child(object, "metadata"), "namespace"))
	for _, key := range []string{"podSelector", "endpointSelector", "workloadSelector", "selector"} {
		yamledit.Walk(child(child(object, "spec"), key), func(_ yamledit.Path, n *yaml.Node) bool {
			own = own || n.Kind == yaml.ScalarNode && backendName.MatchString(n.Value)
			return true
		})
	}
	return own
}
