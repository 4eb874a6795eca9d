package helmchart

import (
	"fmt"
	"path"
	"slices"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"sigs.k8s.io/yaml"
)

// Default are the values that a chart or one of its dependencies brings.
type Default struct {
	// File is the path in the repository.
	File string
	// Keys lead to the place of these values in those of the chart at the root,
	// whose own have none. A dependency that is taken under several aliases
	// brings its values once for each.
	Keys []string
}

// Defaults are the values.yaml of the chart and its dependencies, those that
// have the last word behind the others.
func (c *Chart) Defaults() ([]Default, error) {
	files := map[string]int{}
	for i, f := range c.buffered {
		files[f.Name] = i
	}
	metadata := func(dir string) (m chart.Metadata, err error) {
		for _, name := range []string{"Chart.yaml", "requirements.yaml"} {
			i, ok := files[path.Join(dir, name)]
			if !ok {
				continue
			}
			own := chart.Metadata{}
			if err := yaml.Unmarshal(c.buffered[i].Data, &own); err != nil {
				return m, fmt.Errorf("reading %s: %w", c.sources[i], err)
			}
			own.Dependencies = append(own.Dependencies, m.Dependencies...)
			if m.Name != "" {
				own.Name = m.Name
			}
			m = own
		}
		return m, nil
	}
	var out []Default
	var walk func(dir string, keys []string) error
	walk = func(dir string, keys []string) error {
		if len(keys) > maxDepth {
			return nil
		}
		m, err := metadata(dir)
		if err != nil {
			return err
		}
		for _, sub := range c.dependencies(dir) {
			inner, err := metadata(sub)
			if err != nil {
				return err
			}
			for _, key := range called(inner.Name, m.Dependencies) {
				if err := walk(sub, append(slices.Clip(keys), key)); err != nil {
					return err
				}
			}
		}
		if i, ok := files[path.Join(dir, "values.yaml")]; ok {
			out = append(out, Default{File: c.sources[i], Keys: keys})
		}
		return nil
	}
	if err := walk("", nil); err != nil {
		return nil, err
	}
	return out, nil
}

// dependencies are the folders of charts in the charts/ of a chart's folder.
func (c *Chart) dependencies(dir string) []string {
	var out []string
	for _, f := range c.buffered {
		rest, ok := strings.CutPrefix(f.Name, path.Join(dir, "charts")+"/")
		if !ok {
			continue
		}
		if name, file, _ := strings.Cut(rest, "/"); file == "Chart.yaml" {
			out = append(out, path.Join(dir, "charts", name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// called are the keys of a dependency's values: its aliases, else its name.
func called(name string, dependencies []*chart.Dependency) []string {
	var out []string
	for _, d := range dependencies {
		switch {
		case d == nil || d.Name != name:
		case d.Alias != "":
			out = append(out, d.Alias)
		default:
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return []string{name}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Find is the first line of the chart's templates and of the files that they may
// read which holds a text: 1-based, in the repository. Values and documents for
// people are left out.
func (c *Chart) Find(text string) (file string, line int, ok bool) {
	for i, f := range c.buffered {
		switch base := path.Base(f.Name); {
		case base == "NOTES.txt", path.Ext(base) == ".md", path.Ext(base) == ".tgz", strings.HasPrefix(base, "values"), base == "Chart.yaml":
			continue
		}
		before, _, found := strings.Cut(string(f.Data), text)
		if found && (!ok || strings.Contains(f.Name, "templates/") && !strings.Contains(file, "templates/")) {
			file, line, ok = c.sources[i], 1+strings.Count(before, "\n"), true
		}
	}
	return file, line, ok
}
