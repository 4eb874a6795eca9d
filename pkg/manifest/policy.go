package manifest

import (
	"slices"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Policy is a NetworkPolicy as it is deployed, as far as it says where pods may
// send to. https://kubernetes.io/docs/concepts/services-networking/network-policies/
type Policy struct {
	Namespace, Name string
	Place           fleet.Place
	Root            string   // as of fleet.Workload
	Pods            Selector // that it is for
	// Isolates: its pods send only to what some policy allows.
	Isolates bool
	Rules    []Rule
	Openings []Opening
	// Unread are files that name SkyWalking's agent, could not be read, and may
	// declare pods that the policy is for.
	Unread []fleet.Place

	file           string
	document, item int
	sources        []objectAt // objects and patches of a kustomization that make it
	typed          bool       // policyTypes is written
	own            bool       // the backend's
}

// Rule is one egress rule. One without peers is for every destination, one
// without ports for every port.
type Rule struct {
	Peers []Peer
	Ports []Port
}

// Peer is a destination: an IP block, or the pods that both selectors choose; a
// nil Namespaces is the policy's own namespace.
type Peer struct {
	Block            string
	Namespaces, Pods *Selector
	Unknown          bool // it is written in a form that is not understood
}

// Port is a port, a range of them, or a named one; of TCP where Protocol is empty.
type Port struct {
	From, To int
	Name     string
	Protocol string
}

// Selector chooses objects by their labels; an empty one chooses all.
type Selector struct {
	Labels       map[string]string
	Requirements []Requirement
	Unknown      bool // it is written in a form that is not understood
}

// Requirement is one of matchExpressions.
type Requirement struct {
	Key, Operator string
	Values        []string
}

// Opening is a part of a policy that opens the way to SkyWalking's backend.
type Opening struct {
	// Remove is the rule, peer or port that may go, as a value; Field is not set
	// where it may not.
	Remove fleet.Value
	Rule   int    // index of the rule
	Field  string // of the part, as deployed
	Place  fleet.Place
	Kept   string // why it may not go; empty: it may
}

// Matches reports whether the selector chooses an object with the labels;
// known: that can be told.
func (s Selector) Matches(labels map[string]string) (match, known bool) {
	for key, value := range s.Labels {
		if have, set := labels[key]; !set || have != value {
			return false, true
		}
	}
	known = !s.Unknown
	for _, r := range s.Requirements {
		have, set := labels[r.Key]
		ok := false
		switch r.Operator {
		case "In":
			ok = set && slices.Contains(r.Values, have)
		case "NotIn":
			ok = !set || !slices.Contains(r.Values, have)
		case "Exists":
			ok = set
		case "DoesNotExist":
			ok = !set
		default:
			known = false
			continue
		}
		if !ok {
			return false, true
		}
	}
	return true, known
}

// all reports a selector that chooses everything, or might.
func (s *Selector) all() bool {
	return s.Unknown || len(s.Labels)+len(s.Requirements) == 0
}

// named reports that what the selector chooses is called SkyWalking.
func (s *Selector) named() bool {
	if s.Unknown {
		return false
	}
	for _, value := range s.Labels {
		if backendName.MatchString(value) {
			return true
		}
	}
	return slices.ContainsFunc(s.Requirements, func(r Requirement) bool {
		return r.Operator == "In" && len(r.Values) > 0 && !slices.ContainsFunc(r.Values, func(v string) bool { return !backendName.MatchString(v) })
	})
}

// named reports a peer that is SkyWalking's backend by its labels. Other pods may
// live in a namespace of that name.
func (p Peer) named() bool {
	switch {
	case p.Unknown || p.Block != "":
		return false
	case p.Pods != nil && !p.Pods.all():
		return p.Pods.named()
	case p.Pods != nil && p.Pods.Unknown:
		return false
	}
	return p.Namespaces != nil && p.Namespaces.named()
}

// wide reports a peer that is everything, all of a namespace of the policy's own
// included, or might be.
func (p Peer) wide() bool {
	switch {
	case p.Unknown:
		return true
	case p.Block != "":
		return wideBlock(p.Block)
	}
	return (p.Namespaces == nil || p.Namespaces.all()) && (p.Pods == nil || p.Pods.all())
}

func wideBlock(block string) bool {
	return len(block) > 2 && block[len(block)-2:] == "/0"
}

// restPort is where OAP answers HTTP; agents of old reported there.
const restPort = 12800

// backend reports a port of SkyWalking's backend.
func (p Port) backend() bool {
	return p.tcp() && p.Name == "" && p.From == p.To && (strconv.Itoa(p.From) == backendPort || p.From == restPort)
}

// called reports a port of the backend by its name in the backend's own pods.
func (p Port) called() bool { return p.tcp() && (p.Name == "grpc" || p.Name == "rest") }

func (p Port) tcp() bool { return p.Protocol == "" || p.Protocol == "TCP" }

// readPolicy reads a NetworkPolicy; ok: it says something about what pods send.
func readPolicy(object *yaml.Node) (out Policy, ok bool) {
	if field(object, "kind") != "NetworkPolicy" || field(object, "apiVersion") != "networking.k8s.io/v1" {
		return out, false
	}
	metadata, spec := child(object, "metadata"), child(object, "spec")
	out.Namespace, out.Name = field(metadata, "namespace"), field(metadata, "name")
	if s := selector(child(spec, "podSelector")); s != nil {
		out.Pods = *s
	}
	egress := child(spec, "egress")
	if egress != nil && egress.Kind == yaml.SequenceNode {
		for _, item := range egress.Content {
			out.Rules = append(out.Rules, readRule(resolve(item)))
		}
	}
	out.Isolates = len(out.Rules) > 0
	if types := child(spec, "policyTypes"); types != nil && types.Kind == yaml.SequenceNode && len(types.Content) > 0 {
		out.typed = true
		out.Isolates = slices.ContainsFunc(types.Content, func(n *yaml.Node) bool { return resolve(n).Value == "Egress" })
	}
	out.own = ofBackend(object)
	return out, out.Isolates || len(out.Rules) > 0
}

func readRule(n *yaml.Node) Rule {
	var r Rule
	if to := child(n, "to"); to != nil && to.Kind == yaml.SequenceNode {
		for _, item := range to.Content {
			r.Peers = append(r.Peers, readPeer(resolve(item)))
		}
	} else if to != nil && to.ShortTag() != yaml.NodeTagNull {
		r.Peers = []Peer{{Unknown: true}}
	}
	ports := child(n, "ports")
	if ports == nil || ports.Kind != yaml.SequenceNode {
		return r
	}
	for _, item := range ports.Content {
		item = resolve(item)
		p := Port{Protocol: field(item, "protocol")}
		text := field(item, "port")
		number, err := strconv.Atoi(text)
		switch {
		case text == "":
			p.To = 65535 // every port of the protocol
		case err != nil:
			p.Name = text
		default:
			p.From, p.To = number, number
			if end, err := strconv.Atoi(field(item, "endPort")); err == nil {
				p.To = end
			}
		}
		r.Ports = append(r.Ports, p)
	}
	return r
}

func readPeer(n *yaml.Node) Peer {
	p := Peer{Namespaces: selector(child(n, "namespaceSelector")), Pods: selector(child(n, "podSelector"))}
	block := child(n, "ipBlock")
	p.Block = field(block, "cidr")
	p.Unknown = p.Block == "" && (block != nil || p.Namespaces == nil && p.Pods == nil)
	return p
}

// selector reads a label selector; nil where there is none.
func selector(n *yaml.Node) *Selector {
	if n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == yaml.NodeTagNull {
		return nil
	}
	s := &Selector{Labels: texts(child(n, "matchLabels")), Unknown: n.Kind != yaml.MappingNode}
	expressions := child(n, "matchExpressions")
	if expressions == nil || expressions.Kind != yaml.SequenceNode {
		return s
	}
	for _, item := range expressions.Content {
		r := Requirement{Key: field(resolve(item), "key"), Operator: field(resolve(item), "operator")}
		if values := child(resolve(item), "values"); values != nil {
			for _, v := range values.Content {
				r.Values = append(r.Values, resolve(v).Value)
			}
		}
		s.Requirements = append(s.Requirements, r)
	}
	return s
}

// policy notes a NetworkPolicy of a file.
func (f *facts) policy(file *yamledit.File, d yamledit.Document, object *yaml.Node, item int) {
	p, ok := readPolicy(object)
	if !ok {
		return
	}
	p.Place, p.file, p.document, p.item = place(file, first(object)), f.file, d.Index, item
	p.open(object, func(n *yaml.Node) fleet.Place { return place(file, n) })
	if d.Err != nil {
		p.keep(d.Err.Message)
	}
	for i := range p.Openings {
		if v := &p.Openings[i].Remove; v.Set() {
			v.At = &fleet.Origin{Place: v.Place, Document: d.Index, Item: item, Field: v.Field}
		}
	}
	f.policies = append(f.policies, p)
}
