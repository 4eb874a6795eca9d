package manifest

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// texts are the files that generators take values from: by name, how they are
// taken.
func (x *index) texts() map[string][]generated {
	out := map[string][]generated{}
	for dir, k := range x.kustomizations {
		for _, g := range k.texts {
			name := path.Join(dir, g.path)
			out[name] = append(out[name], g)
		}
	}
	return out
}

// text probes a file that generators read: a token behind each line's value, or
// behind the whole. What is taken both ways is never traced, so never edited.
func (p *prober) text(name string, data []byte, taken []generated) probedFile {
	out := probedFile{plain: data, probed: data}
	defer func() { p.files[name] = out }()
	mixed := slices.ContainsFunc(taken, func(g generated) bool { return g.lines != taken[0].lines })
	if mixed || !needled(data) || isYAML(name) || isKustomization(name) {
		return out
	}
	f, err := readText(name, data)
	if err != nil {
		return out // binaryData
	}
	s := source{file: name, item: -1, position: func(n *yaml.Node) fleet.Place { return place(f, n) }}
	if !taken[0].lines {
		p.add(probed{text: string(data)}, s, textPath().String(), f.root.Content[1])
		out.probed = append(slices.Clone(data), p.token()...)
		return out
	}
	out.probed = nil
	from := 0
	for i, l := range f.lines {
		value := child(f.root.Content[3].Content[i], "value")
		p.add(probed{text: value.Value}, s, linePath(l.key).Child("value").String(), value)
		out.probed = append(append(out.probed, data[from:l.stop]...), p.token()...)
		from = l.stop
	}
	out.probed = append(out.probed, data[from:]...)
	return out
}

// readGenerated screens the files that generators take values from and that are
// no manifests, such as env files and start scripts: the walk passes them over,
// and what they hold is deployed all the same.
func (s *scanner) readGenerated(ctx context.Context) error {
	var names []string
	manifests := map[string]bool{} // under other names than manifests have
	for dir, k := range s.index.kustomizations {
		for _, e := range k.bases {
			if name := path.Join(dir, e.path); fs.ValidPath(name) && !isYAML(name) && writtenAsYAML(name) && s.options.selected(name) && isFile(s.files, name) {
				names, manifests[name] = append(names, name), true
			}
		}
		for _, e := range k.files {
			name := path.Join(dir, e.path)
			if !strings.Contains(e.path, "://") && !isYAML(name) && !isKustomization(name) && fs.ValidPath(name) && s.options.selected(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var buffer []byte
	for _, name := range slices.Compact(names) {
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := fs.Stat(s.files, name)
		if err != nil || !info.Mode().IsRegular() {
			continue // closureOf says what is not there
		}
		var data []byte
		var size int64
		data, buffer, size, err = load(s.files, name, buffer, s.options.MaxFileSize)
		if err == nil && size > s.options.MaxFileSize {
			err = s.readLarge(name)
		}
		if err != nil {
			return err
		}
		seed := needled(data)
		if manifests[name] && size <= s.options.MaxFileSize {
			facts := s.parse(name, data)
			facts.seed = seed
			s.index.add(facts)
		}
		if seed {
			s.index.seeds[name] = true
		}
	}
	return nil
}
