package helmchart

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Release is what a chart is rendered with.
type Release struct {
	Name, Namespace string
	// Values lie over the chart's own.
	Values map[string]any
}

// Rendered is an object with the template that makes it.
type Rendered struct {
	Object *yaml.RNode
	// Template is its file in the repository; empty: not known.
	Template string
}

// Render renders the chart as "helm template" does and returns its objects in
// the order of the templates' names. Tests are left out. The chart is not
// changed.
func (c *Chart) Render(r Release) ([]*yaml.RNode, error) {
	rendered, err := c.Objects(r)
	if err != nil {
		return nil, err
	}
	var out []*yaml.RNode
	for _, o := range rendered {
		out = append(out, o.Object)
	}
	return out, nil
}

// Objects is Render, with the template of each object.
func (c *Chart) Objects(r Release) (objects []Rendered, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rendering chart %s: %v", c.Folder, p)
		}
	}()
	read, err := c.read()
	if err != nil {
		return nil, err
	}
	if !valid(read) {
		return nil, fmt.Errorf("rendering chart %s: a library chart renders nothing", c.Folder)
	}
	values := deepCopy(r.Values)
	if err := chartutil.ProcessDependencies(read, values); err != nil {
		return nil, fmt.Errorf("rendering chart %s: %w", c.Folder, err)
	}
	// A schema may name other documents by URL: values are not held against it.
	top, err := util.ToRenderValuesWithSchemaValidation(read, values,
		common.ReleaseOptions{Name: r.Name, Namespace: r.Namespace, Revision: 1, IsInstall: true}, common.DefaultCapabilities.Copy(), true)
	if err != nil {
		return nil, fmt.Errorf("rendering chart %s: %w", c.Folder, err)
	}
	texts, err := engine.Engine{}.Render(read, top)
	if err != nil {
		return nil, fmt.Errorf("rendering chart %s: %w", c.Folder, err)
	}
	names := make([]string, 0, len(texts))
	for name := range texts {
		if base := path.Base(name); base != "NOTES.txt" && !strings.HasPrefix(base, "_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		found, err := parse(texts[name])
		if err != nil {
			return nil, fmt.Errorf("reading what %s renders: %w", name, err)
		}
		_, inner, _ := strings.Cut(name, "/")
		for _, o := range found {
			objects = append(objects, Rendered{o, c.names[inner]})
		}
	}
	return objects, nil
}

func valid(c *chart.Chart) bool { return c.Metadata.Type == "" || c.Metadata.Type == "application" }

// parse reads the objects of one rendered template, without tests.
func parse(text string) ([]*yaml.RNode, error) {
	var out []*yaml.RNode
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode || len(document.Content[0].Content) == 0 {
			continue
		}
		object := yaml.NewRNode(document.Content[0])
		hook := object.GetAnnotations("helm.sh/hook")["helm.sh/hook"]
		if slices.ContainsFunc(strings.Split(hook, ","), func(h string) bool { return strings.HasPrefix(strings.TrimSpace(h), "test") }) {
			continue
		}
		out = append(out, object)
	}
}

// deepCopy copies mappings and lists: Helm changes the values that it is given.
func deepCopy(values map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for key, v := range values {
		out[key] = copyValue(v)
	}
	return out
}

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return deepCopy(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = copyValue(v[i])
		}
		return out
	}
	return v
}
