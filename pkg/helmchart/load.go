package helmchart

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"
	"sigs.k8s.io/yaml"
)

// Bounds of one chart with its dependencies.
const (
	maxFile  = 5 << 20
	maxChart = 20 << 20
	maxDepth = 8
)

// Chart is a chart of the repository with the dependencies that stand there
// too.
type Chart struct {
	// Folder of the chart.
	Folder string
	// Files are the paths in the repository that it is made of, sorted.
	Files []string

	buffered []*archive.BufferedFile
	sources  []string          // of buffered: their paths in the repository
	names    map[string]string // the same, by those in the chart
}

// MissingError says that a chart needs another one that is not in the
// repository, so it cannot be rendered without fetching it.
type MissingError struct {
	// Chart is the folder of the chart that needs it.
	Chart string
	// Name and Repository are the dependency's, as Chart.yaml has them.
	Name, Repository string
}

// Error implements error.
func (e *MissingError) Error() string {
	if e.Repository == "" {
		return fmt.Sprintf("the chart %s needs %s, which is not in the repository and is never fetched", e.Chart, e.Name)
	}
	return fmt.Sprintf("the chart %s needs %s of %s, which is not in the repository and is never fetched", e.Chart, e.Name, e.Repository)
}

// Load reads the chart in a folder, without what its .helmignore names, and the
// dependencies that stand in its charts/ or behind file://. It returns a
// MissingError where one stands elsewhere.
func Load(files fs.FS, folder string) (*Chart, error) {
	c, err := Read(files, folder)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Read is Load; beside an error it returns what it read, which may be looked at
// and not rendered.
func Read(files fs.FS, folder string) (*Chart, error) {
	l := &loading{files: files, chart: &Chart{Folder: folder, names: map[string]string{}}}
	err := l.folder(folder, "", 0)
	slices.Sort(l.chart.Files)
	l.chart.Files = slices.Compact(l.chart.Files)
	return l.chart, err
}

type loading struct {
	files fs.FS
	chart *Chart
	size  int64
}

// folder adds the files of one chart; as is its path in the chart at the root.
func (l *loading) folder(folder, as string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("loading chart %s: dependencies are nested more than %d deep", folder, maxDepth)
	}
	rules, err := l.rules(folder)
	if err != nil {
		return err
	}
	present := map[string]bool{} // folders and archives in charts/
	err = fs.WalkDir(l.files, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == folder {
			return nil
		}
		inner := strings.TrimPrefix(name, folder+"/")
		if folder == "." {
			inner = name
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if rules.Ignore(inner, info) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() || !entry.Type().IsRegular() {
			return nil
		}
		if rest, ok := strings.CutPrefix(inner, "charts/"); ok {
			first, _, _ := strings.Cut(rest, "/")
			present[first] = true
		}
		return l.add(name, path.Join(as, inner), info.Size())
	})
	if err != nil {
		return fmt.Errorf("loading chart %s: %w", folder, err)
	}
	return l.dependencies(folder, as, present, depth)
}

func (l *loading) rules(folder string) (*ignore.Rules, error) {
	rules := ignore.Empty()
	if data, err := fs.ReadFile(l.files, path.Join(folder, ".helmignore")); err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path.Join(folder, ".helmignore"), err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading %s: %w", path.Join(folder, ".helmignore"), err)
	}
	rules.AddDefaults()
	return rules, nil
}

func (l *loading) add(name, as string, size int64) error {
	l.size += size
	if size > maxFile || l.size > maxChart {
		return fmt.Errorf("reading %s: the chart is larger than the limit of %d bytes", name, maxChart)
	}
	data, err := fs.ReadFile(l.files, name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	l.chart.Files = append(l.chart.Files, name)
	l.chart.buffered, l.chart.sources = append(l.chart.buffered, &archive.BufferedFile{Name: as, Data: data}), append(l.chart.sources, name)
	l.chart.names[as] = name
	return nil
}

// dependencies adds charts behind file:// and looks for those that are missing.
func (l *loading) dependencies(folder, as string, present map[string]bool, depth int) error {
	var wanted []*chart.Dependency
	for _, name := range []string{"Chart.yaml", "requirements.yaml"} {
		data, err := fs.ReadFile(l.files, path.Join(folder, name))
		if err != nil {
			continue
		}
		var meta chart.Metadata
		if err := yaml.Unmarshal(data, &meta); err != nil {
			return fmt.Errorf("reading %s: %w", path.Join(folder, name), err)
		}
		wanted = append(wanted, meta.Dependencies...)
	}
	for _, d := range wanted {
		if d == nil || present[d.Name] {
			continue
		}
		archived := false
		for name := range present { // name-1.2.3.tgz
			rest, ok := strings.CutPrefix(name, d.Name+"-")
			archived = archived || ok && strings.HasSuffix(rest, ".tgz") && rest[0] >= '0' && rest[0] <= '9'
		}
		local, isFile := strings.CutPrefix(d.Repository, "file://")
		target := path.Join(folder, local)
		switch {
		case archived:
		case isFile && fs.ValidPath(target) && target != folder:
			if _, err := fs.Stat(l.files, path.Join(target, "Chart.yaml")); err != nil {
				return &MissingError{folder, d.Name, d.Repository}
			}
			if err := l.folder(target, path.Join(as, "charts", d.Name), depth+1); err != nil {
				return err
			}
		default:
			return &MissingError{folder, d.Name, d.Repository}
		}
	}
	return nil
}

// read makes a chart of the files; each call makes a new one, because Helm
// changes charts as it renders them.
func (c *Chart) read() (*chart.Chart, error) {
	files := make([]*archive.BufferedFile, 0, len(c.buffered))
	for _, f := range c.buffered {
		one := *f
		files = append(files, &one)
	}
	read, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fmt.Errorf("loading chart %s: %w", c.Folder, err)
	}
	return read, nil
}
