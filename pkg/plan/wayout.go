package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// answer is what can be said of a rule and a destination.
type answer int

const (
	no answer = iota
	maybe
	yes
)

// destination is where telemetry is sent to.
type destination struct {
	host, service, namespace string // a Service's; empty: it is none
	port                     int
	ip                       netip.Addr
}

// Ports of OTLP, which Services seldom map to others.
// https://opentelemetry.io/docs/specs/otlp/
const (
	grpcPort = 4317
	httpPort = 4318
)

// destinationOf reads an endpoint; ok: it is outside of the pod, and known.
func destinationOf(endpoint, home string) (d destination, ok bool) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || strings.ContainsAny(u.Host, "$(){}") {
		return d, false
	}
	d.host = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if d.host == "localhost" {
		return d, false
	}
	d.port, _ = strconv.Atoi(u.Port())
	if d.port == 0 {
		d.port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	}
	if ip, err := netip.ParseAddr(d.host); err == nil {
		d.ip = ip
		return d, !ip.IsLoopback()
	}
	switch labels := strings.Split(d.host, "."); {
	case len(labels) == 1:
		d.service, d.namespace = labels[0], home
	case len(labels) == 2 || labels[2] == "svc":
		d.service, d.namespace = labels[0], labels[1]
	}
	return d, true
}

// backendName is what SkyWalking's backend is called.
var backendName = regexp.MustCompile(`(?i)skywalking|(^|[^a-z0-9])oap([^a-z0-9]|$)`)

// allows says whether a rule of a policy in the namespace lets telemetry pass.
// The labels of the pods behind a Service are not known.
func (d destination) allows(r manifest.Rule, home string, labels func(namespace string) (map[string]string, bool)) answer {
	ports := d.ports(r.Ports)
	if ports == no || len(r.Peers) == 0 {
		return ports
	}
	best := no
	for _, p := range r.Peers {
		best = max(best, d.peer(p, home, labels))
	}
	return min(best, ports)
}

func (d destination) ports(ports []manifest.Port) answer {
	if len(ports) == 0 {
		return yes
	}
	best := no
	for _, p := range ports {
		switch {
		case p.Protocol != "" && p.Protocol != "TCP":
		case p.Name != "":
			best = max(best, maybe)
		case p.From <= d.port && d.port <= p.To:
			return yes
		case d.service != "" && d.port != grpcPort && d.port != httpPort && (p.From == grpcPort || p.From == httpPort || p.From != p.To):
			best = max(best, maybe) // the Service's port is not its pods'
		}
	}
	return best
}

func (d destination) peer(p manifest.Peer, home string, labels func(string) (map[string]string, bool)) answer {
	switch {
	case p.Unknown:
		return maybe
	case p.Block != "":
		block, err := netip.ParsePrefix(p.Block)
		switch {
		case err != nil || !d.ip.IsValid():
			return maybe
		case block.Contains(d.ip):
			return maybe // there may be exceptions
		}
		return no
	case d.ip.IsValid() || d.namespace == "" && d.service == "":
		return no // selectors choose pods
	}
	found := yes
	switch {
	case p.Namespaces == nil && home != d.namespace:
		return no
	case p.Namespaces != nil:
		have, known := labels(d.namespace)
		match, told := p.Namespaces.Matches(have)
		switch {
		case !told:
			found = maybe
		case match:
		case known || !backendName.MatchString(d.namespace) && namesBackend(p.Namespaces):
			return no
		case onlyName(p.Namespaces):
			return no
		default:
			found = maybe
		}
	}
	if p.Pods == nil || len(p.Pods.Labels)+len(p.Pods.Requirements) == 0 && !p.Pods.Unknown {
		return found
	}
	if namesBackend(p.Pods) && !backendName.MatchString(d.service) {
		return no
	}
	return maybe
}

// onlyName reports a selector of a namespace by a label that has its name.
func onlyName(s *manifest.Selector) bool {
	for key := range s.Labels {
		if key == "kubernetes.io/metadata.name" || key == "name" {
			return true
		}
	}
	return false
}

func namesBackend(s *manifest.Selector) bool {
	for _, value := range s.Labels {
		if backendName.MatchString(value) {
			return true
		}
	}
	return false
}

// namespaceLabels are those that a namespace is known to have; known: all.
func (n *network) namespaceLabels(namespace string) (labels map[string]string, known bool) {
	have, known := n.in.Scan.Namespaces[namespace]
	labels = map[string]string{"kubernetes.io/metadata.name": namespace}
	if !known {
		labels["name"] = namespace // as people label them
	}
	for key, value := range have {
		labels[key] = value
	}
	return labels, known
}

// endpointOption is an option that sends telemetry elsewhere than
// options.endpoint says.
var endpointOption = regexp.MustCompile(`otel\.exporter\.otlp\.(?:\w+\.)?endpoint=(\S+)`)

// endpoints are where the workload's new agent reports to.
func (n *network) endpoints(w fleet.Workload) []string {
	var out []string
	if n.spec.Options.Endpoint != "" {
		out = append(out, n.spec.Options.Endpoint)
	}
	for _, option := range n.targetOf(w, "").Add {
		if found := endpointOption.FindStringSubmatch(option); found != nil {
			out = append(out, found[1])
		}
	}
	return out
}

// carriesTelemetry reports that a part of a policy may be what lets the new
// agent reach its endpoint.
func (n *network) carriesTelemetry(w fleet.Workload, p manifest.Policy, part manifest.Rule) bool {
	return slices.ContainsFunc(n.endpoints(w), func(endpoint string) bool {
		d, known := destinationOf(endpoint, w.ID.Namespace)
		return known && d.allows(part, cmp.Or(p.Namespace, w.ID.Namespace), n.namespaceLabels) != no
	})
}

// wayOut warns where NetworkPolicies of the repository keep the new agent from
// its endpoint, as far as they show; what cannot be told is not said.
func (n *network) wayOut(d *draft) {
	endpoints := n.endpoints(d.w)
	if d.plan.Action != fleet.ActionMigrate || n.in.Scan.Foreign || len(endpoints) != 1 {
		return
	}
	to, known := destinationOf(endpoints[0], d.w.ID.Namespace)
	if !known || to.service == "" && !to.ip.IsValid() || to.service != "" && to.namespace == "" {
		return
	}
	var by *manifest.Policy
	near := n.in.Scan.Policies
	if home := d.w.ID.Namespace; home != "" {
		near = slices.Concat(n.policies[""], n.policies[home])
	}
	for i, p := range near {
		if !n.covers(p, d.w) {
			continue
		}
		for _, r := range p.Rules {
			if to.allows(r, cmp.Or(p.Namespace, d.w.ID.Namespace), n.namespaceLabels) != no {
				return
			}
		}
		match, told := p.Pods.Matches(d.w.PodLabels)
		if p.Isolates && match && told && !release(d.w) && (p.Namespace == d.w.ID.Namespace && (p.Namespace != "" || p.Root == d.w.Root)) &&
			(by == nil || len(by.Openings) == 0 && len(p.Openings) > 0) {
			by = &near[i]
		}
	}
	if by != nil {
		d.warn(fleet.CodeUnreachable, by.Place, fmt.Sprintf("NetworkPolicy %s isolates what its pods send, and no egress rule of the repository lets them reach %s: add %s",
			by.Name, endpoints[0], to.rule()))
	}
}

// rule is the egress rule that lets telemetry pass.
func (d destination) rule() string {
	peer := fmt.Sprintf("namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}", d.namespace)
	if d.ip.IsValid() {
		peer = fmt.Sprintf("ipBlock: {cidr: %s/%d}", d.ip, d.ip.BitLen())
	}
	return fmt.Sprintf("{to: [{%s}], ports: [{protocol: TCP, port: %d}]}", peer, d.port)
}
