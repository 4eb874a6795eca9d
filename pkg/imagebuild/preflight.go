package imagebuild

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/contents"
	"github.com/otelshift/otelshift/pkg/imagebuild/jar"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// contentsKind is the cache's name of contents; the number is the format's.
const contentsKind = "contents-2"

// maxContents is how many layers' contents are kept in memory: base layers are
// shared by many images.
const maxContents = 16

// preflight reads whole layers, each once, by diffID.
type preflight struct {
	cache    *cache
	listings *listings

	mu     sync.Mutex
	layers map[string]*reading
	recent []string // diffIDs, the last used last
}

// reading is a layer that is being read or has been.
type reading struct {
	mu     sync.Mutex
	result *contents.Layer
}

// look reads an image's layers; those that cannot be read are named.
func (p *preflight) look(ctx context.Context, repo repository, layers []descriptor, diffIDs []string) (image contents.Image, unread []string, err error) {
	var found []*contents.Layer
	for i := len(layers) - 1; i >= 0; i-- {
		if why := unreadable(layers[i]); why != "" {
			unread = append(unread, fmt.Sprintf("layer %s (%s)", layers[i].Digest, why))
			continue
		}
		l, err := p.layer(ctx, repo, layers[i], diffIDs[i])
		if err != nil {
			return contents.Image{}, nil, fmt.Errorf("reading layer %s: %w", layers[i].Digest, err)
		}
		p.listings.put(ctx, diffIDs[i], l.Listing)
		found = append(found, l)
	}
	return contents.Merge(found), unread, nil
}

func (p *preflight) layer(ctx context.Context, repo repository, d descriptor, diffID string) (*contents.Layer, error) {
	r := p.reading(diffID)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result != nil {
		return r.result, nil
	}
	l := &contents.Layer{}
	if p.cache.load(ctx, contentsKind, diffID, l) && l.Listing != nil && l.Listing.Complete {
		r.result = l
		return l, nil
	}
	l, err := readContents(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	r.result = l
	p.cache.save(ctx, contentsKind, diffID, l)
	return l, nil
}

func (p *preflight) reading(diffID string) *reading {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent = append(slices.DeleteFunc(p.recent, func(id string) bool { return id == diffID }), diffID)
	if p.layers == nil {
		p.layers = map[string]*reading{}
	}
	r := p.layers[diffID]
	if r == nil {
		r = &reading{}
		p.layers[diffID] = r
	}
	if len(p.recent) > maxContents {
		delete(p.layers, p.recent[0])
		p.recent = p.recent[1:]
	}
	return r
}

// readContents reads a layer to its end, so that its digest is checked.
func readContents(ctx context.Context, repo repository, d descriptor) (*contents.Layer, error) {
	blob := repo.Whole(ctx, d.wire())
	defer blob.Close() //nolint:errcheck // reading only
	plain, err := layer.Decompress(blob)
	if err != nil {
		return nil, err
	}
	defer plain.Close() //nolint:errcheck // reading only
	l, err := contents.Read(plain)
	if err != nil {
		return nil, err
	}
	for _, rest := range []io.Reader{plain, blob} {
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return nil, err
		}
	}
	return l, nil
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

// javaOf is the Java that runs, as far as the configuration tells: JAVA_HOME,
// else the first of PATH, else the only one. known is false where it could be
// any.
func javaOf(image contents.Image, env []string) (java contents.Java, known bool) {
	if len(image.Java) == 1 {
		return image.Java[0], true
	}
	var dirs []string
	for _, entry := range env {
		if home, ok := strings.CutPrefix(entry, "JAVA_HOME="); ok {
			dirs = append([]string{home}, dirs...)
		}
		if list, ok := strings.CutPrefix(entry, "PATH="); ok {
			for dir := range strings.SplitSeq(list, ":") {
				dirs = append(dirs, path.Dir(path.Clean(dir)))
			}
		}
	}
	for _, dir := range dirs {
		place := image.Real(dir)
		for _, j := range image.Java {
			if place == j.Home || place == j.Home+"/jre" {
				return j, true
			}
		}
	}
	return contents.Java{}, false
}

// feature is the number that a Java version is called by: 8 of "1.8.0_292", 17
// of "17.0.15"; 0: not understood. JEP 223.
func feature(version string) int {
	first, rest, _ := strings.Cut(version, ".")
	if first == "1" {
		first, _, _ = strings.Cut(rest, ".")
	}
	digits := strings.IndexFunc(first, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		first = first[:digits]
	}
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// fullPreflight looks into an image that is to be rebuilt, refuses what could
// not run and warns of what may not.
func (b *Builder) fullPreflight(ctx context.Context, j *job, found *base) error {
	if b.options.Preflight != PreflightFull {
		return nil
	}
	m := found.manifest
	if m.Body == nil {
		var err error
		if m, err = found.repo.Manifest(ctx, found.digest); err != nil {
			return missing(j.rebuild.From, err)
		}
	}
	doc, layers, err := b.config(ctx, found.repo, m)
	if err != nil {
		return missing(j.rebuild.From, err)
	}
	if len(layers) != len(doc.RootFS.DiffIDs) {
		return nil // refused where it is built
	}
	image, unread, err := b.preflight.look(ctx, found.repo, layers, doc.RootFS.DiffIDs)
	if err != nil {
		return missing(j.rebuild.From, err)
	}
	for _, what := range append(unread, unreadArchives(image)...) {
		j.warn(fleet.CodePreflight, "%s of %s was not read: it may use SkyWalking's toolkit", what, j.rebuild.From)
	}
	for _, dir := range j.rebuild.Remove {
		if len(unread) == 0 && !image.Has(dir) {
			j.warn(fleet.CodeRemoval, "%s is not in %s: nothing to remove", dir, j.rebuild.From)
		}
	}
	b.warnTexts(j, image)
	return b.refuseJava(ctx, j, image, doc)
}

// warnTexts names the files that would look for what is removed.
func (b *Builder) warnTexts(j *job, image contents.Image) {
	for _, t := range image.Texts {
		if s := b.options.StartScript; s != nil && path.Clean(s.Path) == t.Path {
			continue // replaced
		}
		for _, line := range t.Lines {
			for _, dir := range j.rebuild.Remove {
				if names(line.Text, dir) || names(line.Text, image.Real(dir)) {
					j.warn(fleet.CodeScript, "%s:%d of %s names %s, which the rebuilt image has not: %s",
						t.Path, line.Line, j.rebuild.From, dir, javaagent.Redact(line.Text))
				}
			}
		}
	}
}

// names reports whether a line names a directory or something in it.
func names(line, dir string) bool {
	for rest := line; ; {
		_, after, found := strings.Cut(rest, dir)
		if !found {
			return false
		}
		if after == "" || !strings.ContainsRune("-_.", rune(after[0])) && !isWord(after[0]) {
			return true
		}
		rest = after
	}
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// refuseJava refuses an image whose Java is too old for the agent: the JVM
// would exit.
func (b *Builder) refuseJava(ctx context.Context, j *job, image contents.Image, doc configDoc) error {
	least, err := b.payload.java(ctx)
	if err != nil {
		return err
	}
	java, known := javaOf(image, doc.Config.Env)
	var older []string
	for _, candidate := range image.Java {
		if known && candidate != java {
			continue
		}
		if n := feature(candidate.Version); n > 0 && n < least {
			older = append(older, candidate.Home+" is Java "+candidate.Version)
		}
	}
	switch {
	case len(image.Java) == 0:
		j.warn(fleet.CodePreflight, "no Java installation was recognised in %s; the agent needs Java %d or later", j.rebuild.From, least)
	case len(older) == 0:
	case known || len(older) == len(image.Java):
		return refuse(fleet.CodeJavaVersion, "image %s runs Java that the agent does not support (%s; it needs Java %d or later): the JVM would not start",
			j.rebuild.From, strings.Join(older, ", "), least)
	default:
		j.warn(fleet.CodeJavaVersion, "the agent needs Java %d or later, and %s of %s may be what runs", least, strings.Join(older, ", "), j.rebuild.From)
	}
	return nil
}
