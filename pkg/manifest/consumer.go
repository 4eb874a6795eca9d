package manifest

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// consumer is an object that is no workload and takes something from
// ConfigMaps: an Argo WorkflowTemplate, a Tekton Task, Helm values by
// reference.
type consumer struct {
	id         fleet.ID
	place      fleet.Place
	configMaps []string
}

// declaration names an object of a known kind.
type declaration struct {
	namespace, name string
	file            string // where it stands; empty: a kustomization renders it
	document, item  int
}

// consumes notes an object without a pod template that names ConfigMaps.
func (f *facts) consumes(file *yamledit.File, root *yaml.Node, kind string) {
	metadata := child(root, "metadata")
	c := consumer{id: fleet.ID{Kind: kind, Namespace: field(metadata, "namespace"), Name: field(metadata, "name")}, place: place(file, first(root))}
	yamledit.Walk(root, func(_ yamledit.Path, n *yaml.Node) bool {
		if n.Kind != yaml.MappingNode {
			return true
		}
		for _, key := range []string{"configMapKeyRef", "configMapRef", "configMap"} {
			if name := field(child(n, key), "name"); name != "" {
				c.configMaps = append(c.configMaps, name)
			}
		}
		for _, key := range []string{"valuesFrom", "substituteFrom"} { // Flux
			if list := child(n, key); list != nil && list.Kind == yaml.SequenceNode {
				for _, item := range list.Content {
					if field(item, "kind") == "ConfigMap" {
						c.configMaps = append(c.configMaps, field(item, "name"))
					}
				}
			}
		}
		return true
	})
	if len(c.configMaps) > 0 {
		slices.Sort(c.configMaps)
		c.configMaps = slices.Compact(c.configMaps)
		f.consumers = append(f.consumers, c)
	}
}

// consumed adds the consumers of each ConfigMap, by its place in configMaps.
func (x *index) consumed(users map[int][]fleet.ID) {
	for _, c := range x.consumers {
		at := fleet.Workload{ID: c.id, Place: c.place}
		for _, name := range c.configMaps {
			if i, _ := x.configMap(&at, name); i >= 0 && !slices.Contains(users[i], c.id) {
				users[i] = append(users[i], c.id)
			}
		}
	}
}

// objectAt is where an object stands.
type objectAt struct {
	file           string
	document, item int
}

// consumersAt are the consumers of the ConfigMaps by the place of each.
func (x *index) consumersAt() map[objectAt][]fleet.ID {
	users := map[int][]fleet.ID{}
	x.consumed(users)
	out := map[objectAt][]fleet.ID{}
	for i, ids := range users {
		o := x.configMaps[i].origin
		out[objectAt{o.File, o.Document, o.Item}] = ids
	}
	return out
}

// holds reports that the repository has the ConfigMap, flag or none.
func (x *index) holds(namespace, name string) bool {
	return slices.ContainsFunc(x.declared, func(o declaration) bool { return o.name == name && sameNamespace(o.namespace, namespace) })
}

// readSources looks for the ConfigMaps that containers beside an agent's volume
// name, or that may hold an agent.config, and no file that was read declares: they stand in files without any
// needle.
func (s *scanner) readSources(ctx context.Context) error {
	wanted := map[string]bool{}
	for i := range s.index.workloads {
		w := &s.index.workloads[i]
		names := configSources(w)
		if len(w.InitAgents) > 0 {
			names = append(names, sourcesOf(w)...)
		}
		for _, name := range names {
			if !s.index.holds(w.ID.Namespace, name) {
				wanted[name] = true
			}
		}
	}
	for _, h := range s.index.helm {
		for _, name := range h.takes {
			if !s.index.holds(h.own, name) {
				wanted[name] = true
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var names [][]byte
	for _, name := range fleet.SortedKeys(wanted) {
		names = append(names, []byte(name))
	}
	var mutex sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers())
	for _, name := range s.users {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			data, _, _, err := load(s.files, name, nil, s.options.MaxFileSize)
			if err != nil || !bytes.Contains(data, []byte("ConfigMap")) || !containsAny(data, names) {
				return err
			}
			found := s.parse(name, data)
			mutex.Lock()
			defer mutex.Unlock()
			s.index.declared = append(s.index.declared, found.declared...)
			s.index.configMaps = append(s.index.configMaps, found.configMaps...)
			return nil
		})
	}
	return group.Wait()
}

// configSources are the ConfigMaps that a workload with SkyWalking mounts.
func configSources(w *fleet.Workload) []string {
	if !slices.ContainsFunc(w.Loads, func(l fleet.Load) bool { return l.Agent == javaagent.SkyWalking }) {
		return nil
	}
	var out []string
	for _, v := range w.Volumes {
		for _, source := range v.Sources {
			if source.Kind == "configMap" && source.Name != "" {
				out = append(out, source.Name)
			}
		}
	}
	return out
}

// sourcesOf are the ConfigMaps that a workload's containers take variables
// from.
func sourcesOf(w *fleet.Workload) []string {
	var out []string
	for _, c := range w.Containers {
		for _, e := range c.Env {
			if e.From != nil && e.From.Kind == "configMapKeyRef" {
				out = append(out, e.From.Name)
			}
		}
		for _, f := range c.EnvFrom {
			if f.Kind == "configMapRef" {
				out = append(out, f.Name)
			}
		}
	}
	return out
}
