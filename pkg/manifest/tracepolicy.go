package manifest

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// renderedPolicy is a NetworkPolicy that a root renders, with the objects and
// patches that make it.
type renderedPolicy struct {
	root    *root
	id      identity
	sources []objectAt
}

// policy adds a rendered NetworkPolicy. Its openings get the places where they
// are decided, if one object or patch decides all of its egress rules.
func (d *deployment) policy(r *root, node, probed *yaml.Node) {
	p, ok := readPolicy(node)
	if !ok || probed == nil {
		return
	}
	p.Root, p.Place = r.kustomization, r.kustomizationAt
	applications := r.applications
	if r.laid != nil {
		p.Root = r.laid.file
		applications = []application{{namespace: r.laid.namespace}}
	}
	p.home(applications)
	made := renderedPolicy{root: r, id: identify(node)}
	var holder *source
	holders, declared := 0, false
	for _, n := range d.sourcesOf(probed) {
		s := d.prober.sources[n]
		if s.operations {
			for _, item := range s.node.Content {
				if pointer := field(item, "path"); strings.HasPrefix("/spec/egress/", pointer+"/") || strings.HasPrefix(pointer, "/spec/egress/") {
					holders += 2
				}
			}
			continue
		}
		if !s.patch && !declared {
			declared = true
			p.Place, p.file, p.document, p.item = s.place, s.file, s.document, s.item
		}
		if s.prefix == "" {
			made.sources = append(made.sources, objectAt{s.file, s.document, s.item})
		}
		if child(child(s.node, "spec"), "egress") != nil {
			holders++
			holder = &s
		}
	}
	p.sources = made.sources
	d.rendered = append(d.rendered, made)
	nowhere := func(*yaml.Node) fleet.Place { return p.Place }
	p.open(node, nowhere)
	if holders == 1 && holder != nil && holder.prefix == "" && sameShape(node, holder.node) {
		p.trace(holder)
	} else {
		p.keep("where its egress rules are decided is not one place of the kustomization")
	}
	d.policies = append(d.policies, p)
}

// trace points the openings of the rendered policy at its source, in which the
// same path leads to each.
func (p *Policy) trace(s *source) {
	for i := range p.Openings {
		o := &p.Openings[i]
		path, err := yamledit.ParsePath(o.Field)
		if err != nil {
			continue
		}
		n := find(s.node, path)
		if n == nil {
			continue
		}
		o.Place = s.position(first(n))
		if said := speaks(n); said != nil {
			o.Place = s.position(said)
		}
		if o.Remove.Set() {
			at := s.position(first(n))
			o.Remove.Place, o.Remove.At = at, &fleet.Origin{Place: at, Document: s.document, Item: s.item, Field: o.Field}
		}
	}
}

// sameShape reports as many rules, peers and ports in both: labels may be added
// to selectors on the way.
func sameShape(a, b *yaml.Node) bool {
	x, y := child(child(a, "spec"), "egress"), child(child(b, "spec"), "egress")
	if x.Kind != yaml.SequenceNode || y.Kind != x.Kind || len(x.Content) != len(y.Content) {
		return false
	}
	for i := range x.Content {
		for _, key := range []string{"to", "ports"} {
			m, n := child(resolve(x.Content[i]), key), child(resolve(y.Content[i]), key)
			if (m == nil) != (n == nil) || m != nil && len(m.Content) != len(n.Content) {
				return false
			}
		}
	}
	return true
}

// policy checks that a rendered NetworkPolicy loses what the changes remove and
// gets what they add, and nothing else.
func (p *prover) policy(sources []objectAt, old, fresh *yaml.Node) bool {
	var removed, added []string
	for _, changes := range p.applied.Changes {
		for _, c := range changes {
			if !slices.Contains(sources, objectAt{c.File, c.Document, c.Item}) {
				continue
			}
			switch c.Op {
			case fleet.OpRemove:
				removed = append(removed, c.Field)
			case fleet.OpAdd:
				added = append(added, c.Field)
			case fleet.OpReplace:
				return false
			}
		}
	}
	for _, list := range []*[]string{&removed, &added} { // workloads that go together share them
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	want, ok := without(old, removed)
	have, fits := without(fresh, added)
	return ok && fits && equalNodes(want, have)
}
