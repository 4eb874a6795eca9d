package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Resource is an object that decides what an operator injects into pods.
type Resource struct {
	Kind, Namespace, Name string // Instrumentation or SwAgent
	Place                 fleet.Place
	// Image of the agent that it brings; empty: the operator's default.
	Image string
	// Selector are labels that pods need (SwAgent); empty: all pods.
	Selector map[string]string
	// Matcher is the SwAgent's containerMatcher, which replaces a pod's even
	// when it is empty.
	Matcher string
	// Env are the SwAgent's javaSidecar.env.
	Env []fleet.Env
}

func readResource(file *yamledit.File, object *yaml.Node, kind string) Resource {
	metadata, spec := child(object, "metadata"), child(object, "spec")
	out := Resource{
		Kind: kind, Namespace: field(metadata, "namespace"), Name: field(metadata, "name"), Place: place(file, first(object)),
		Image: field(child(spec, "java"), "image"),
	}
	if kind != "SwAgent" {
		return out
	}
	out.Image = field(child(spec, "javaSidecar"), "image")
	out.Selector, out.Matcher = texts(child(spec, "selector")), field(spec, "containerMatcher")
	env := child(child(spec, "javaSidecar"), "env")
	if env == nil || env.Kind != yaml.SequenceNode {
		return out
	}
	for _, item := range env.Content {
		e := fleet.Env{Name: field(item, "name"), Place: place(file, first(item))}
		if value := child(item, "value"); value != nil {
			e.Value = fleet.Value{Text: value.Value, Field: "spec.javaSidecar.env[name=" + e.Name + "].value", Place: place(file, value)}
		} else {
			e.From = &fleet.EnvSource{Kind: "valueFrom"}
		}
		out.Env = append(out.Env, e)
	}
	return out
}

// isDocument reports a change that adds a whole object to a file: its Field is
// empty and New is YAML.
func isDocument(c fleet.Change) bool { return c.Field == "" && c.Op == fleet.OpAdd }

// withoutDocuments parts the objects that groups add from their edits.
func withoutDocuments(groups []Group) (rest []Group, documents map[fleet.ID][]fleet.Change) {
	documents = map[fleet.ID][]fleet.Change{}
	rest = slices.Clone(groups)
	for i, g := range rest {
		if g.exact != nil || !slices.ContainsFunc(g.Changes, isDocument) {
			continue
		}
		rest[i].Changes = slices.DeleteFunc(slices.Clone(g.Changes), isDocument)
		for _, c := range g.Changes {
			if isDocument(c) {
				documents[g.ID] = append(documents[g.ID], c)
			}
		}
	}
	return rest, documents
}

// addDocuments appends the objects of the groups that were applied, each once:
// an object that the file has already stays as it is.
func addDocuments(files fs.FS, out *Applied, groups []Group, documents map[fleet.ID][]fleet.Change) error {
	for _, g := range groups {
		if _, refused := out.Refused[g.ID]; refused {
			continue
		}
		for _, c := range documents[g.ID] {
			data, changed := out.Files[c.File]
			if !changed {
				var err error
				if data, err = fs.ReadFile(files, c.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("reading %s: %w", c.File, err)
				}
			}
			next, err := withDocument(c.File, data, c.New)
			if err != nil {
				return err
			}
			if bytes.Equal(next, data) {
				continue
			}
			out.Files[c.File] = next
			c.Line = bytes.Count(next[:len(next)-len(c.New)], []byte("\n")) + 1
			out.Changes[g.ID] = append(out.Changes[g.ID], c)
		}
	}
	return nil
}

// withDocument appends a YAML document; a file that cannot be read as YAML
// still takes one behind a separator.
func withDocument(name string, data []byte, text string) ([]byte, error) {
	added, err := yamledit.Parse(name, []byte(text), yamledit.Limits{})
	if err != nil {
		return nil, fmt.Errorf("reading the object to add to %s: %w", name, err)
	}
	wanted := objects(added)
	if have, err := yamledit.Parse(name, data, yamledit.Limits{MaxSize: max(int64(len(data)), yamledit.DefaultMaxSize)}); err == nil {
		for _, o := range objects(have) {
			if len(wanted) == 1 && o.id == wanted[0].id {
				return data, nil
			}
		}
	}
	out := slices.Clone(data)
	if len(bytes.TrimSpace(out)) > 0 {
		if out[len(out)-1] != '\n' {
			out = append(out, '\n')
		}
		out = append(out, "---\n"...)
	}
	return append(out, text...), nil
}
