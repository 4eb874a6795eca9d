package manifest

import (
	"slices"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// open finds what the policy opens for SkyWalking's backend, and what of it
// could go without changing anything else: whether its pods are isolated, and
// what other rules, peers and ports allow. An egress rule that loses its last peer
// or its last port would be for all of them, and a policy without policyTypes that
// loses its last egress rule would no longer isolate what its pods send.
func (p *Policy) open(object *yaml.Node, place func(*yaml.Node) fleet.Place) {
	p.Openings = nil
	egress := child(child(object, "spec"), "egress")
	if p.own || egress == nil || egress.Kind != yaml.SequenceNode {
		return
	}
	whole := 0
	for i, r := range p.Rules {
		node := resolve(egress.Content[i])
		at := yamledit.Path{}.Child("spec").Child("egress").Item(i)
		for _, part := range r.parts() {
			path, n := at, node
			if part.list != "" {
				path = at.Child(part.list).Item(part.index)
				n = resolve(child(node, part.list).Content[part.index])
			} else if part.kept == "" {
				whole++
			}
			o := Opening{Rule: i, Field: path.String(), Place: place(first(n)), Kept: part.kept}
			if said := speaks(n); said != nil {
				o.Place = place(said)
			}
			if o.Kept == "" {
				o.Remove = fleet.Value{Field: o.Field, Place: place(first(n))}
			}
			p.Openings = append(p.Openings, o)
		}
	}
	if whole == len(p.Rules) && whole > 0 && !p.typed {
		p.keep("it is all that makes the policy isolate what its pods send (spec.policyTypes is not written): write policyTypes, or remove the policy by hand")
	}
}

// keep lets every opening stay that has no reason of its own yet.
func (p *Policy) keep(why string) {
	for i := range p.Openings {
		if o := &p.Openings[i]; o.Kept == "" {
			o.Kept, o.Remove = why, fleet.Value{}
		}
	}
}

// speaks is the first scalar that names the backend or its port.
func speaks(n *yaml.Node) (found *yaml.Node) {
	for _, port := range []bool{false, true} {
		yamledit.Walk(n, func(_ yamledit.Path, n *yaml.Node) bool {
			if n.Kind == yaml.ScalarNode && found == nil && (!port && backendName.MatchString(n.Value) || port && n.Value == backendPort) {
				found = n
			}
			return found == nil
		})
	}
	return found
}

// part is a part of a rule: the whole of it, or an item of its list "to" or
// "ports".
type part struct {
	list  string
	index int
	kept  string
}

// parts are those that open the way to SkyWalking's backend. A peer is the
// backend's by its labels; where no label says so, what allows port 11800 alone is.
func (r Rule) parts() []part {
	var named, backend, called int
	wide := len(r.Peers) == 0
	for _, peer := range r.Peers {
		if peer.named() {
			named++
		} else {
			wide = wide || peer.wide()
		}
	}
	agents := false // 11800 is among the ports
	for _, port := range r.Ports {
		if port.backend() {
			backend++
			agents = agents || strconv.Itoa(port.From) == backendPort
		} else if port.called() {
			called++
		}
	}
	allNamed := named > 0 && named == len(r.Peers)
	switch {
	case allNamed && backend+called == len(r.Ports), agents && backend == len(r.Ports) && !wide:
		return []part{{}}
	case named == 0 && !agents:
		return nil
	case named == 0 && wide:
		return []part{{kept: "the rule is for every destination, or for all of a namespace: what else it serves cannot be told"}}
	}
	var out []part
	for i, peer := range r.Peers {
		switch {
		case !peer.named() || allNamed && backend > 0:
		case allNamed:
			out = append(out, part{list: "to", index: i, kept: "its ports are not those that agents report to"})
		case len(r.Ports) == 0 || backend+called > 0:
			out = append(out, part{list: "to", index: i})
		default:
			out = append(out, part{list: "to", index: i, kept: "its ports are not those that agents report to"})
		}
	}
	if backend < len(r.Ports) && (agents || allNamed && backend > 0) {
		for i, port := range r.Ports {
			if !port.backend() {
				continue
			}
			kept := ""
			if wide {
				kept = "the rule is for every destination, or for all of a namespace: what else it serves cannot be told"
			}
			out = append(out, part{list: "ports", index: i, kept: kept})
		}
	}
	return out
}

// without removes what changes remove of an object, and reports whether it
// could.
func without(object *yaml.Node, fields []string) (*yaml.Node, bool) {
	out := clone(object)
	var paths []yamledit.Path
	for _, f := range fields {
		path, err := yamledit.ParsePath(f)
		if err != nil || len(path) < 2 {
			return nil, false
		}
		paths = append(paths, path)
	}
	// The last items first: they do not move the others.
	slices.SortFunc(paths, func(a, b yamledit.Path) int {
		return slices.CompareFunc(b, a, func(x, y yamledit.Step) int { return x.Index - y.Index })
	})
	for _, path := range paths {
		parent, err := path[:len(path)-1].Lookup(out)
		if err != nil {
			return nil, false
		}
		parent = resolve(parent)
		switch last := path[len(path)-1]; {
		case last.Kind == yamledit.StepIndex && parent.Kind == yaml.SequenceNode && last.Index < len(parent.Content):
			parent.Content = slices.Delete(parent.Content, last.Index, last.Index+1)
		case last.Kind == yamledit.StepKey && parent.Kind == yaml.MappingNode:
			at := -1
			for i := 0; i+1 < len(parent.Content); i += 2 {
				if parent.Content[i].Value == last.Key {
					at = i
				}
			}
			if at < 0 {
				return nil, false
			}
			parent.Content = slices.Delete(parent.Content, at, at+2)
		default:
			return nil, false
		}
	}
	return out, true
}

// Part is what an opening of the policy allows, as a rule of its own.
func (p Policy) Part(o Opening) Rule {
	r := p.Rules[o.Rule]
	path, err := yamledit.ParsePath(o.Field)
	if err != nil || len(path) < 5 { // spec.egress[0].to[0]
		return r
	}
	switch i := path[4].Index; path[3].Key {
	case "to":
		r.Peers = r.Peers[i : i+1]
	case "ports":
		r.Ports = r.Ports[i : i+1]
	}
	return r
}
