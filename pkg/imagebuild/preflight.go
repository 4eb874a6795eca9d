package imagebuild

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/contents"
	"github.com/otelshift/otelshift/pkg/imagebuild/jar"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// contentsKind is the cache's name of contents; the number is the format's.
const contentsKind = "contents-4"

// maxContents is how many layers' contents are kept in memory: base layers are
// shared by many images.
const maxContents = 16

// preflight reads whole layers, each once, by diffID: under that only those
// are kept whose content has it.
type preflight struct {
	cache    *cache
	listings *listings

	mu     sync.Mutex
	layers map[layerKey]*reading
	recent []layerKey // the last used last
}

// layerKey is a layer's content, by digest, and what an image claims of it.
type layerKey struct{ digest, diffID string }

// reading is a layer that is being read or has been.
type reading struct {
	mu     sync.Mutex
	result *contents.Layer
	proven bool // its content has the diffID
}

// look reads an image's layers and returns them top first; those that cannot be
// read are named.
func (p *preflight) look(ctx context.Context, repo repository, layers []descriptor, diffIDs []string) (found []*contents.Layer, unread []string, err error) {
	for i := len(layers) - 1; i >= 0; i-- {
		if why := unreadable(layers[i]); why != "" {
			unread = append(unread, fmt.Sprintf("layer %s (%s)", layers[i].Digest, why))
			continue
		}
		l, proven, err := p.layer(ctx, repo, layers[i], diffIDs[i])
		if err != nil {
			return nil, nil, fmt.Errorf("reading layer %s: %w", layers[i].Digest, err)
		}
		if proven {
			p.listings.put(ctx, diffIDs[i], l.Listing)
		}
		found = append(found, l)
	}
	return found, unread, nil
}

func (p *preflight) layer(ctx context.Context, repo repository, d descriptor, diffID string) (l *contents.Layer, proven bool, err error) {
	r := p.reading(layerKey{d.Digest, diffID})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result != nil {
		return r.result, r.proven, nil
	}
	l = &contents.Layer{}
	if p.cache.load(ctx, contentsKind, diffID, l) && l.Listing != nil && l.Listing.Complete {
		r.result, r.proven = l, true
		return l, true, nil
	}
	l, proven, err = readContents(ctx, repo, d, diffID)
	if err != nil {
		return nil, false, err
	}
	r.result, r.proven = l, proven
	if proven {
		p.cache.save(ctx, contentsKind, diffID, l)
	}
	return l, proven, nil
}

func (p *preflight) reading(key layerKey) *reading {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent = append(slices.DeleteFunc(p.recent, func(k layerKey) bool { return k == key }), key)
	if p.layers == nil {
		p.layers = map[layerKey]*reading{}
	}
	r := p.layers[key]
	if r == nil {
		r = &reading{}
		p.layers[key] = r
	}
	if len(p.recent) > maxContents {
		delete(p.layers, p.recent[0])
		p.recent = p.recent[1:]
	}
	return r
}

// readContents reads a layer to its end, so that its digest is checked. proven
// says that its content has the diffID, too.
func readContents(ctx context.Context, repo repository, d descriptor, diffID string) (l *contents.Layer, proven bool, err error) {
	blob := repo.Whole(ctx, d.wire())
	defer blob.Close() //nolint:errcheck // reading only
	plain, err := layer.Decompress(blob)
	if err != nil {
		return nil, false, err
	}
	defer plain.Close() //nolint:errcheck // reading only
	content := newContent(plain)
	if l, err = contents.Read(content); err != nil {
		return nil, false, err
	}
	if proven, err = content.is(diffID); err != nil {
		return nil, false, err
	}
	if _, err := io.Copy(io.Discard, blob); err != nil {
		return nil, false, err
	}
	return l, proven, nil
}

// unreadable says why a layer cannot be read.
func unreadable(d descriptor) string {
	switch {
	case len(d.URLs) > 0:
		return "foreign, not in the registry"
	case strings.HasSuffix(d.MediaType, "+encrypted"):
		return "encrypted"
	}
	return ""
}

// contentsOf puts an image's contents into words.
func contentsOf(image contents.Image) *fleet.ImageContents {
	c := &fleet.ImageContents{Agents: []fleet.ImageAgent{}, Toolkit: toolkitOf(image.Archives), Texts: []fleet.ImageText{}, Java: []fleet.ImageJava{}}
	for _, a := range image.Agents {
		agent := fleet.ImageAgent{Directory: a.Directory, Version: a.Version, Settings: []string{}, Certificate: a.Certificate, Config: a.Config}
		if a.Config != "" {
			effective, _ := javaagent.Effective(javaagent.Input{AgentConfig: a.Config, AgentVersion: a.Version})
			for _, s := range effective.Settings {
				agent.Settings = append(agent.Settings, redactEnv(s.Key, s.Value))
			}
		}
		c.Agents = append(c.Agents, agent)
	}
	for _, t := range image.Texts {
		for _, line := range t.Lines {
			c.Texts = append(c.Texts, fleet.ImageText{Where: fmt.Sprintf("%s:%d", t.Path, line.Line), Text: javaagent.Redact(line.Text)})
		}
	}
	for _, j := range image.Java {
		c.Java = append(c.Java, fleet.ImageJava{Home: j.Home, Version: j.Version})
	}
	return c
}

// unite puts the contents of another platform to those of the first, which
// has most of it as a rule: jars are the same on all.
func unite(all, more *fleet.ImageContents) *fleet.ImageContents {
	if all == nil {
		return more
	}
	for _, a := range more.Agents {
		if !slices.ContainsFunc(all.Agents, func(have fleet.ImageAgent) bool { return have.Directory == a.Directory }) {
			all.Agents = append(all.Agents, a)
		}
	}
	for _, t := range more.Toolkit {
		at := slices.IndexFunc(all.Toolkit, func(have fleet.ImageToolkit) bool { return have.Library == t.Library })
		if at < 0 {
			all.Toolkit = append(all.Toolkit, t)
			continue
		}
		all.Toolkit[at].Where, all.Toolkit[at].UsedBy = added(all.Toolkit[at].Where, t.Where), added(all.Toolkit[at].UsedBy, t.UsedBy)
	}
	all.Texts, all.Java = added(all.Texts, more.Texts), added(all.Java, more.Java)
	return all
}

// added appends what is not there yet.
func added[T comparable](have, more []T) []T {
	for _, one := range more {
		if !slices.Contains(have, one) {
			have = append(have, one)
		}
	}
	return have
}

// toolkitOf gathers what archives say by library. A use belongs to the library
// by its name; one whose jar was not seen (it may be the server's) is named
// without a version.
func toolkitOf(archives []contents.Archive) []fleet.ImageToolkit {
	libraries := map[string]*fleet.ImageToolkit{}
	for _, a := range archives {
		for _, name := range a.Report.Libraries {
			if libraries[name] == nil {
				libraries[name] = &fleet.ImageToolkit{Library: name, Where: []string{}, UsedBy: []string{}}
			}
			if t := libraries[name]; !slices.Contains(t.Where, a.Path) {
				t.Where = append(t.Where, a.Path)
			}
		}
	}
	for _, a := range archives {
		for _, use := range a.Report.Uses {
			by := a.Path
			if jar.IsArchive(a.Path) {
				by += "!/" + use.In
			}
			for _, name := range use.Names {
				for _, t := range holders(libraries, jar.Of(name)) {
					if !slices.Contains(t.UsedBy, by) {
						t.UsedBy = append(t.UsedBy, by)
					}
				}
			}
		}
	}
	list := []fleet.ImageToolkit{}
	for _, name := range fleet.SortedKeys(libraries) {
		list = append(list, *libraries[name])
	}
	return list
}

// holders are the libraries of a kind, one that is added if there is none.
func holders(libraries map[string]*fleet.ImageToolkit, kind string) []*fleet.ImageToolkit {
	var found []*fleet.ImageToolkit
	for _, name := range fleet.SortedKeys(libraries) {
		if name == kind || strings.HasPrefix(name, kind+"-") {
			found = append(found, libraries[name])
		}
	}
	if found == nil {
		libraries[kind] = &fleet.ImageToolkit{Library: kind, Where: []string{}, UsedBy: []string{}}
		found = append(found, libraries[kind])
	}
	return found
}

// unreadArchives says which archives were not read to their ends.
func unreadArchives(image contents.Image) []string {
	var unread []string
	for _, a := range image.Archives {
		for _, why := range a.Report.Unread {
			unread = append(unread, a.Path+" ("+why+")")
		}
	}
	return unread
}
