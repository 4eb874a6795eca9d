package contents

import (
	"archive/tar"
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/imagebuild/jar"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// Image is what a container sees of the layers' reports. Paths are absolute.
type Image struct {
	Agents   []Agent
	Archives []Archive // those of agents left out
	Java     []Java
	Texts    []Text // those of agents left out

	layers []*Layer
	view   *layer.View
}

// Agent is a SkyWalking agent.
type Agent struct {
	Directory   string
	Version     string // of the jar's manifest; may be empty
	Config      string // text of config/agent.config; empty: there is none
	Certificate bool   // ca/ca.crt is there
}

// Archive is an archive or a loose file that has to do with the toolkit.
type Archive struct {
	Path   string
	Report jar.Report
}

// Java is a Java installation.
type Java struct {
	Home    string `json:"home"`
	Version string `json:"version"`
}

// Text is a text file that names SkyWalking or loads an agent.
type Text struct {
	Path  string
	Lines []Mention
}

// Merge puts layers together, top first.
func Merge(layers []*Layer) Image {
	layers = linked(layers)
	image := Image{layers: layers, view: &layer.View{Bottom: true}}
	for _, l := range layers {
		image.view.Listings = append(image.view.Listings, l.Listing)
	}
	visible := func(i int, name string) bool { return image.top(name) == i }
	file := func(name string) (*Layer, bool) { // the layer that a file is seen from
		i := image.top(name)
		if i < 0 {
			return nil, false
		}
		_, ok := layers[i].Files[name]
		return layers[i], ok
	}
	for i, l := range layers {
		for name, version := range l.Agents {
			if !visible(i, name) {
				continue
			}
			dir := path.Dir(name)
			agent := Agent{Directory: path.Join("/", dir), Version: version}
			config := path.Join(dir, "config/agent.config")
			if at, ok := file(config); ok {
				agent.Config = at.Configs[config]
			}
			_, agent.Certificate = file(path.Join(dir, "ca/ca.crt"))
			image.Agents = append(image.Agents, agent)
		}
		for name, report := range l.Archives {
			if visible(i, name) {
				image.Archives = append(image.Archives, Archive{Path: "/" + name, Report: report})
			}
		}
		for name, java := range l.Java {
			if visible(i, name) && !slices.ContainsFunc(image.Java, func(j Java) bool { return j.Home == java.Home }) {
				image.Java = append(image.Java, java)
			}
		}
		for name, lines := range l.Mentions {
			if visible(i, name) {
				image.Texts = append(image.Texts, Text{Path: "/" + name, Lines: lines})
			}
		}
	}
	image.Archives = slices.DeleteFunc(image.Archives, func(a Archive) bool { return image.OfAgent(a.Path) })
	image.Texts = slices.DeleteFunc(image.Texts, func(t Text) bool { return image.OfAgent(t.Path) })
	slices.SortFunc(image.Agents, func(a, b Agent) int { return cmp.Compare(a.Directory, b.Directory) })
	slices.SortFunc(image.Archives, func(a, b Archive) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(image.Java, func(a, b Java) int { return cmp.Compare(a.Home, b.Home) })
	slices.SortFunc(image.Texts, func(a, b Text) int { return cmp.Compare(a.Path, b.Path) })
	return image
}

// linked gives hard links what the files of the layers below say that they are
// other names of. The layers may be others' too, so copies are changed.
func linked(layers []*Layer) []*Layer {
	layers = slices.Clone(layers)
	for i, l := range slices.Backward(layers) {
		if len(l.Links) == 0 {
			continue
		}
		l = l.clone()
		for name, target := range l.Links {
			for _, below := range layers[i+1:] {
				if _, ok := below.Files[target]; ok {
					l.same(name, below, target)
					break
				}
				if below.Listing.Hides(target) {
					break
				}
			}
		}
		layers[i] = l
	}
	return layers
}

// clone copies the parts that same writes to.
func (l *Layer) clone() *Layer {
	c := newLayer()
	c.Listing, c.Files, c.Links = l.Listing, l.Files, l.Links
	maps.Copy(c.Archives, l.Archives)
	maps.Copy(c.Agents, l.Agents)
	maps.Copy(c.Configs, l.Configs)
	maps.Copy(c.Java, l.Java)
	maps.Copy(c.Mentions, l.Mentions)
	return c
}

// OfAgent reports a file of a SkyWalking agent's own. An application may lie beside the
// agent's jar, so its directories are named.
func (i Image) OfAgent(name string) bool {
	return slices.ContainsFunc(i.Agents, func(a Agent) bool {
		inside, ok := strings.CutPrefix(name, strings.TrimSuffix(a.Directory, "/")+"/")
		first, _, below := strings.Cut(inside, "/")
		switch first {
		case "activations", "plugins", "bootstrap-plugins", "optional-plugins", "optional-reporter-plugins", "expired-plugins", "config", "logs", "licenses":
			return ok && below
		}
		return ok && !below && strings.HasPrefix(first, "skywalking-agent")
	})
}

// Real is where a directory lies without symbolic links; the path itself where
// it is not there.
func (i Image) Real(dir string) string {
	r, known, err := i.view.Resolve(strings.TrimPrefix(path.Clean(dir), "/"))
	if err != nil || !known || !r.Exists {
		return path.Clean(dir)
	}
	return "/" + r.Path
}

// Has reports whether anything is at a path.
func (i Image) Has(name string) bool {
	parent, known, err := i.view.Resolve(strings.TrimPrefix(path.Dir(path.Clean(name)), "/"))
	if err != nil || !known || !parent.Exists {
		return false
	}
	return i.top(path.Join(parent.Path, path.Base(name))) >= 0
}

// Inside lists the files and links in a directory, at any depth, in order of
// names; of what is no directory, itself.
func (i Image) Inside(dir string) []string {
	dir = i.place(dir)
	found := map[string]struct{}{}
	for n, l := range i.layers {
		add := func(name string) {
			if (name == dir || strings.HasPrefix(name, dir+"/")) && i.top(name) == n {
				found["/"+name] = struct{}{}
			}
		}
		for name := range l.Files {
			add(name)
		}
		for name, node := range l.Listing.Nodes {
			if node.Type == tar.TypeSymlink {
				add(name)
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// FileOn is the first file on the way to a path; "" if there is none.
func (i Image) FileOn(name string) string {
	at := ""
	for part := range strings.SplitSeq(strings.Trim(path.Clean(name), "/"), "/") {
		at = i.Real(at + "/" + part)
		if n := i.top(at[1:]); n >= 0 {
			if _, file := i.layers[n].Files[at[1:]]; file {
				return at
			}
		}
	}
	return ""
}

// place is where a path lies, a link at its end not followed.
func (i Image) place(name string) string {
	name = path.Clean(name)
	return strings.TrimPrefix(path.Join(i.Real(path.Dir(name)), path.Base(name)), "/")
}

// top is the layer that says what is at a path; -1: none does.
func (i Image) top(name string) int {
	for n, l := range i.layers {
		_, file := l.Files[name]
		_, node := l.Listing.Nodes[name]
		_, implied := l.Listing.Implied[name]
		if file || node || implied {
			return n
		}
		if l.Listing.Hides(name) {
			break
		}
	}
	return -1
}
