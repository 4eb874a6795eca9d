package manifest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// isolating reports a policy of another API than Kubernetes' own that says where
// pods may send to.
func isolating(kind string, object *yaml.Node) bool {
	switch kind {
	case "NetworkPolicy", "GlobalNetworkPolicy", "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "AdminNetworkPolicy",
		"BaselineAdminNetworkPolicy", "EgressFirewall", "EgressNetworkPolicy":
		return child(object, "spec") != nil || child(object, "specs") != nil
	}
	return false
}

// readPolicies reads the policies that say nothing of SkyWalking: the pods that
// leave it may have to pass them. Nobody leaves it where nothing loads it.
func (s *scanner) readPolicies(ctx context.Context) error {
	if !slices.ContainsFunc(s.index.workloads, leaves) && len(s.index.kustomizations)+len(s.index.values) == 0 {
		return nil
	}
	slices.Sort(s.policies)
	for _, name := range s.policies {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, _, _, err := load(s.files, name, nil, s.options.MaxFileSize)
		if err != nil {
			return err
		}
		found := s.parse(name, data)
		s.index.policies = append(s.index.policies, found.policies...)
		s.index.foreign = s.index.foreign || found.foreign
	}
	return nil
}

func leaves(w fleet.Workload) bool {
	return slices.ContainsFunc(w.Loads, func(l fleet.Load) bool { return l.Agent == javaagent.SkyWalking })
}

// placePolicies gives plain policies the namespace that an Application deploys
// them to. What an Application changes on the way, and what a chart holds, is not
// edited.
func (x *index) placePolicies() {
	for i := range x.policies {
		p := &x.policies[i]
		applications := x.deployedFrom(path.Dir(p.file), false)
		p.home(applications)
		if a := slices.IndexFunc(applications, func(a application) bool { return a.overrides != nil }); a >= 0 && x.kustomizations[applications[a].path] == nil {
			p.keep(fmt.Sprintf("the Application %s changes what the files say, by its %s", applications[a].name, applications[a].what))
		}
		if chart := x.chartOf(p.file); chart != "" {
			p.keep("it stands in a template of the chart " + chart)
		}
	}
}

// home is the namespace of a policy that names none: the Applications', where
// they agree.
func (p *Policy) home(applications []application) {
	w := fleet.Workload{ID: fleet.ID{Namespace: p.Namespace}}
	destination(&w, applications)
	p.Namespace = w.ID.Namespace
}

// chartOf is the chart that a file is a template of, with or without actions in
// it.
func (x *index) chartOf(file string) string {
	for dir := path.Dir(file); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if path.Base(dir) == "templates" && x.charts[path.Dir(dir)] {
			return path.Dir(dir)
		}
	}
	return ""
}

// settlePolicies sorts the policies and finds, for those that open the way to
// SkyWalking, what could stand behind them unread and whether each removal can be
// made and proved.
func (r *Result) settlePolicies(ctx context.Context, files fs.FS) error {
	slices.SortFunc(r.Policies, func(a, b Policy) int {
		return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.document, b.document), cmp.Compare(a.item, b.item), cmp.Compare(a.Root, b.Root),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	groups := map[fleet.ID]*Group{}
	var order []fleet.ID
	texts := map[string][]byte{}
	for i := range r.Policies {
		p := &r.Policies[i]
		if len(p.Openings) == 0 {
			continue
		}
		r.unread(files, p, texts)
		r.listUntraced(*p)
		for _, o := range p.Openings {
			if o.Kept != "" {
				continue
			}
			c := p.Change(o)
			id := trialID(c)
			if groups[id] == nil {
				groups[id] = &Group{ID: id}
				order = append(order, id)
			}
			if !slices.ContainsFunc(groups[id].Changes, func(other fleet.Change) bool { return other.Field == c.Field }) {
				groups[id].Changes = append(groups[id].Changes, c)
			}
		}
	}
	if len(order) == 0 {
		return nil
	}
	var all []Group
	for _, id := range order {
		all = append(all, *groups[id])
	}
	applied, err := r.Apply(ctx, files, all)
	if err != nil {
		return err
	}
	for i := range r.Policies {
		p := &r.Policies[i]
		for _, o := range p.Openings {
			if o.Kept != "" {
				continue
			}
			if reason, refused := applied.Refused[trialID(p.Change(o))]; refused {
				p.keep("it cannot be edited: " + reason.Message)
				break
			}
		}
	}
	return nil
}

// trialID stands for the object that a change is in.
func trialID(c fleet.Change) fleet.ID {
	return fleet.ID{Kind: "NetworkPolicy", Name: fmt.Sprintf("%s#%d.%d", c.File, c.Document, c.Item)}
}

// Change is the removal of one of the policy's openings.
func (p Policy) Change(o Opening) fleet.Change {
	return fleet.Workload{Document: p.document, Item: p.item}.Change(fleet.OpRemove, o.Remove, "")
}

// MadeFrom reports that the object which the change is in makes the policy, alone
// or with others.
func (p Policy) MadeFrom(c fleet.Change) bool {
	at := objectAt{c.File, c.Document, c.Item}
	return p.Root == "" && at == objectAt{p.file, p.document, p.item} || slices.Contains(p.sources, at)
}

// unread finds the files that name SkyWalking's agent and were not read, and
// that may declare pods of the policy.
func (r *Result) unread(files fs.FS, p *Policy, texts map[string][]byte) {
	for _, f := range r.Files {
		text, known := texts[f.File]
		if !known {
			var err error
			if text, err = fs.ReadFile(files, f.File); err != nil {
				text = nil // a link, or no name that can be asked for
			}
			texts[f.File] = text
		}
		if p.mayRule(text) {
			p.Unread = append(p.Unread, fleet.Place{File: f.File, Line: f.Line})
		}
	}
}

// listUntraced lists what a kustomization makes a policy open and no object of the
// repository says as such.
func (r *Result) listUntraced(p Policy) {
	for _, o := range p.Openings {
		if p.Root != "" && o.Place == p.Place {
			r.Remaining = append(r.Remaining, fleet.Remaining{Place: o.Place, What: oneLine(fmt.Sprintf("NetworkPolicy %s: %s opens the way to SkyWalking", p.Name, o.Field))})
		}
	}
}

// mayRule reports that pods which load SkyWalking's agent may be declared in the
// text and be the policy's. In a template labels are whatever.
func (p Policy) mayRule(text []byte) bool {
	if !bytes.Contains(text, []byte("javaagent")) && !bytes.Contains(text, []byte("SW_AGENT_")) && !agentName.Match(text) {
		return false
	}
	if bytes.Contains(text, []byte("{{")) {
		return true
	}
	if p.Namespace != "" && bytes.Contains(text, []byte("namespace:")) && !bytes.Contains(text, []byte(p.Namespace)) {
		return false
	}
	for _, value := range p.Pods.Labels {
		if !bytes.Contains(text, []byte(strings.TrimSpace(value))) {
			return false
		}
	}
	return true
}
