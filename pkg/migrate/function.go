package migrate

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// Function is a KRM function: a ResourceList in and out, its functionConfig
// being the Migration object.
// https://github.com/kubernetes-sigs/kustomize/blob/master/cmd/config/docs/api-conventions/functions-spec.md
type Function struct {
	// Open makes the effects for a configuration: Clock, and Images where a
	// registry may be asked.
	Open func(config.Config) (Ports, error)
	// Known are images that were built elsewhere.
	Known Built
	Log   *slog.Logger
}

// Run reads a ResourceList, applies the plan to its items and writes it with
// the results. The edits are made and proved as in Rewrite; how the items are
// written to files is the host's business. The error is the results' where one
// of them is an error: then no item is changed.
func (f Function) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	rw := &kio.ByteReadWriter{Reader: in, Writer: out, KeepReaderAnnotations: true}
	return framework.Execute(framework.ResourceListProcessorFunc(func(list *framework.ResourceList) error {
		if err := f.process(ctx, list); err != nil {
			var results framework.Results
			if !errors.As(err, &results) {
				results = framework.Results{{Severity: framework.Error, Message: err.Error()}}
			}
			list.Results = append(list.Results, results...)
		}
		if list.Results.ExitCode() != 0 {
			return list.Results
		}
		return nil
	}), rw)
}

func (f Function) process(ctx context.Context, list *framework.ResourceList) error {
	cfg, err := functionConfig(list.FunctionConfig)
	if err != nil {
		return err
	}
	ports, err := f.Open(cfg)
	if err != nil {
		return err
	}
	// The host has chosen the items.
	cfg.Spec.Repository.Include, cfg.Spec.Repository.Exclude = nil, nil
	m := New(ports, Options{Config: cfg, Log: f.Log})
	t, err := newItems(list.Items)
	if err != nil {
		return err
	}
	w := &world{checkout: fleet.Checkout{Files: t.files}}
	if w.scan, err = manifest.Scan(ctx, t.files, m.scanOptions()); err != nil {
		return fmt.Errorf("reading the items: %w", err)
	}
	if m.ports.Images != nil {
		if w.payload, err = m.ports.Images.Payload(ctx); err != nil {
			return fmt.Errorf("reading the agent: %w", err)
		}
	}
	images := depthNames
	if len(f.Known) > 0 {
		images = depthEdits
	}
	d, err := m.draftKnown(ctx, w, f.Known, images)
	if err != nil {
		return err
	}
	results := framework.Results{}
	for _, p := range d.problems {
		results = append(results, &framework.Result{Severity: framework.Error, Message: p.Subject + ": " + p.Err.Error()})
	}
	if len(results) > 0 {
		return results
	}
	var groups []manifest.Group
	reasons := map[fleet.ID]fleet.Reason{}
	for _, p := range d.plan.Workloads {
		if !p.Action.Changes() {
			continue
		}
		if ref, missing := imageMissing(d, p); missing {
			reasons[p.ID] = fleet.Reason{
				Code: fleet.CodeImageUnknown, Place: fleet.Place{File: p.File, Line: p.Line},
				Message: "the rebuilt image of " + ref + " is not known: give it with --images, or let the function ask with --online",
			}
			continue
		}
		groups = append(groups, manifest.Group{ID: p.ID, Changes: p.Changes})
	}
	applied, err := w.scan.Apply(ctx, t.files, groups)
	if err != nil {
		return fmt.Errorf("editing the items: %w", err)
	}
	for id, reason := range applied.Refused {
		reasons[id] = reason
	}
	if err := t.replace(applied.Files); err != nil {
		return err
	}
	list.Results = append(list.Results, t.results(d.plan, applied, reasons)...)
	return nil
}

// functionConfig reads the Migration object; what hosts write into its
// metadata is not ours. Its error is framework.Results.
func functionConfig(node *yaml.RNode) (config.Config, error) {
	refuse := func(format string, args ...any) error {
		return framework.Results{{Severity: framework.Error, Message: "functionConfig: " + fmt.Sprintf(format, args...)}}
	}
	if yaml.IsMissingOrNull(node) {
		return config.Config{}, refuse("is missing; want a Migration object of %s", fleet.APIVersion)
	}
	node = node.Copy()
	name := node.GetName()
	if err := node.PipeE(yaml.Clear("metadata")); err != nil {
		return config.Config{}, refuse("%v", err)
	}
	if name != "" {
		if err := node.SetName(name); err != nil {
			return config.Config{}, refuse("%v", err)
		}
	}
	text, err := node.String()
	if err != nil {
		return config.Config{}, refuse("%v", err)
	}
	cfg, err := config.Decode("functionConfig", []byte(text))
	if err == nil {
		err = cfg.RequireWrite(true)
	}
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		var results framework.Results
		for _, p := range invalid.Problems {
			message := "functionConfig: " + p.Message
			if p.Hint != "" {
				message += " (" + p.Hint + ")"
			}
			results = append(results, &framework.Result{Severity: framework.Error, Message: message})
		}
		return config.Config{}, results
	}
	if err != nil {
		return config.Config{}, refuse("%v", err)
	}
	return cfg, nil
}

// items are the items of a ResourceList as the files that they came from.
type items struct {
	nodes []*yaml.RNode
	files fs.FS
	of    map[string][]int // file -> its documents, as indices of nodes
}

// newItems writes the items down, each a document of its file. Files are those
// of the host's annotations; an item without one is a file of its own.
func newItems(nodes []*yaml.RNode) (*items, error) {
	t := &items{nodes: nodes, of: map[string][]int{}}
	texts := map[string]*bytes.Buffer{}
	for i, n := range nodes {
		if n.GetKind() == "Kustomization" {
			continue // the host renders; the list is what comes of it
		}
		file, _, err := kioutil.GetFileAnnotations(n)
		if err != nil || !fs.ValidPath(file) || file == "." || path.Ext(file) != ".yaml" && path.Ext(file) != ".yml" {
			file = fmt.Sprintf("item-%d.yaml", i)
		}
		text, err := n.String()
		if err != nil {
			return nil, fmt.Errorf("reading item %d: %w", i, err)
		}
		if texts[file] == nil {
			texts[file] = &bytes.Buffer{}
		} else {
			_, _ = texts[file].WriteString("---\n") // a buffer takes everything
		}
		_, _ = texts[file].WriteString(text)
		t.of[file] = append(t.of[file], i)
	}
	// An archive without compression is the standard library's file system in memory.
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	for _, name := range fleet.SortedKeys(texts) {
		file, err := writer.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			return nil, fmt.Errorf("keeping %s: %w", name, err)
		}
		if _, err := file.Write(texts[name].Bytes()); err != nil {
			return nil, fmt.Errorf("keeping %s: %w", name, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("keeping the items: %w", err)
	}
	reader, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	if err != nil {
		return nil, fmt.Errorf("keeping the items: %w", err)
	}
	t.files = reader
	return t, nil
}

// replace takes the edited files over into the items.
func (t *items) replace(files map[string][]byte) error {
	for _, name := range fleet.SortedKeys(files) {
		decoder := yaml.NewDecoder(bytes.NewReader(files[name]))
		for _, i := range t.of[name] {
			var document yaml.Node
			if err := decoder.Decode(&document); err != nil {
				return fmt.Errorf("reading edited %s: %w", name, err)
			}
			t.nodes[i].SetYNode(yaml.NewRNode(&document).YNode())
		}
	}
	return nil
}

// results say what became of every workload that the plan lists.
func (t *items) results(p fleet.Plan, applied manifest.Applied, reasons map[fleet.ID]fleet.Reason) framework.Results {
	var results framework.Results
	for _, w := range p.Workloads {
		add := func(severity framework.Severity, place fleet.Place, code fleet.Code, message string) {
			results = append(results, &framework.Result{
				Severity: severity, Message: w.ID.String() + ": " + message, ResourceRef: t.ref(w), File: t.file(place, 0),
				Tags: map[string]string{"code": string(code)},
			})
		}
		reason, refused := reasons[w.ID]
		switch {
		case refused:
			add(framework.Warning, reason.Place, reason.Code, "left alone: "+reason.Message)
		case w.Reason != nil && w.Action == fleet.ActionSkip:
			add(framework.Info, w.Reason.Place, w.Reason.Code, w.Reason.Message)
		case w.Reason != nil:
			add(framework.Warning, w.Reason.Place, w.Reason.Code, w.Reason.Message)
		}
		for _, warning := range w.Warnings {
			add(framework.Warning, warning.Place, warning.Code, warning.Message)
		}
		for _, c := range applied.Changes[w.ID] {
			if refused {
				break
			}
			field := &framework.Field{Path: c.Field}
			if c.Op != fleet.OpAdd {
				field.CurrentValue = c.Old
			}
			if c.Op != fleet.OpRemove {
				field.ProposedValue = c.New
			}
			results = append(results, &framework.Result{
				Severity: framework.Info, Message: fmt.Sprintf("%s: %s: %s", w.ID, w.Action, c.Op), ResourceRef: t.ref(w),
				Field: field, File: t.file(c.Place, c.Document),
			})
		}
	}
	for _, f := range p.Files {
		results = append(results, &framework.Result{
			Severity: framework.Warning, Message: f.Reason.Message, File: t.file(fleet.Place{File: f.File}, 0), Tags: map[string]string{"code": string(f.Reason.Code)},
		})
	}
	for _, w := range p.Warnings {
		results = append(results, &framework.Result{Severity: framework.Warning, Message: w.Message, Tags: map[string]string{"code": string(w.Code)}})
	}
	return results
}

// file is the place as the host knows it; nil for an item of no file.
func (t *items) file(place fleet.Place, document int) *framework.File {
	members := t.of[place.File]
	if document >= len(members) {
		return nil
	}
	file, index, err := kioutil.GetFileAnnotations(t.nodes[members[document]])
	if err != nil || file == "" {
		return nil
	}
	number, err := strconv.Atoi(index)
	if err != nil {
		number = document
	}
	return &framework.File{Path: file, Index: number}
}

// ref names the item that declares the workload.
func (t *items) ref(w fleet.Planned) *yaml.ResourceIdentifier {
	ref := &yaml.ResourceIdentifier{
		TypeMeta: yaml.TypeMeta{Kind: w.ID.Kind}, NameMeta: yaml.NameMeta{Name: w.ID.Name, Namespace: w.ID.Namespace},
	}
	i := slices.IndexFunc(t.of[w.File], func(i int) bool {
		return t.nodes[i].GetKind() == w.ID.Kind && strings.HasSuffix(w.ID.Name, t.nodes[i].GetName())
	})
	if i >= 0 {
		ref.APIVersion = t.nodes[t.of[w.File][i]].GetApiVersion()
	}
	return ref
}
