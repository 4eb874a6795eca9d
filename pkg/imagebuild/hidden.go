package imagebuild

import (
	"archive/tar"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/contents"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// The agent's directory is the layer's alone: what a base has there is hidden.
// That is what an upgrade wants where an agent lies there, and the end of the
// application where this does.

// refuseUsed refuses an agent's directory that the configuration says the
// application lies in.
func (b *Builder) refuseUsed(s *stack) error {
	own := path.Clean(b.options.Directory)
	used := func(word string) bool {
		return strings.HasPrefix(word, "/") && below(word, own) && !ofAgent(word) &&
			(b.options.StartScript == nil || path.Clean(word) != path.Clean(b.options.StartScript.Path))
	}
	no := func(what, value string) error {
		return refuse(fleet.CodeImageRefused, "%s of image %s is %s, and the agent directory %s would hide what is there; choose another agent.directory", what, s.ref, value, own)
	}
	if slices.Contains(s.remove, own) {
		return nil
	}
	c, agents := s.config.Config, named(own)
	if used(c.WorkingDir) {
		return no("WorkingDir", c.WorkingDir)
	}
	// An agent's own start script may go with it, if it is not what runs.
	if !agents || len(b.options.Entrypoint) == 0 {
		for _, word := range slices.Concat(c.Entrypoint, c.Cmd) {
			if used(word) {
				return no("a word of the command", word)
			}
		}
	}
	for _, entry := range c.Env {
		name, value, _ := strings.Cut(entry, "=")
		if agents && name != "PATH" && name != "JAVA_HOME" || strings.HasPrefix(name, "OTEL_") || !strings.HasPrefix(value, "/") {
			continue
		}
		for item := range strings.SplitSeq(value, ":") {
			if used(item) {
				return no("variable "+name, item)
			}
		}
	}
	return nil
}

// ofAgent reports the path of an agent's jar.
func ofAgent(name string) bool {
	base := path.Base(name)
	return base == AgentJar || base == "skywalking-agent.jar"
}

// named reports that a directory is called like an agent's: nobody keeps an
// application there.
func named(dir string) bool {
	base := strings.ToLower(path.Base(dir))
	return slices.ContainsFunc([]string{"otel", "opentelemetry", "agent", "skywalking", "apm"}, func(word string) bool { return strings.Contains(base, word) })
}

// refuseSeen refuses what the layers that were read show in the agent's
// directory, and says where they show nothing: no layer is read for it.
func (b *Builder) refuseSeen(j *job, s *stack, view *layer.View, spec layer.Spec) error {
	for _, f := range spec.Extra {
		if node, known := view.Lookup(f.Name); known == layer.Present && node.Type == tar.TypeDir {
			return refuse(fleet.CodeImageRefused, "image %s has a directory where the start script goes, %s; choose another agent.startScript.path", s.ref, b.options.StartScript.Path)
		}
	}
	if b.options.Preflight == PreflightFull || named(b.options.Directory) || slices.Contains(s.remove, path.Clean(b.options.Directory)) {
		return nil
	}
	if seen := inside(view, spec.Own); seen != "" {
		return b.refuseHiding(s.ref, "/"+seen)
	}
	j.warn(fleet.CodePreflight, "%s is the new agent's alone, without a look at what %s has there (preflight: fast)", b.options.Directory, s.ref)
	return nil
}

func (b *Builder) refuseHiding(ref, what string) error {
	return refuse(fleet.CodeImageRefused, "image %s has %s, which the agent directory %s would hide; choose another agent.directory", ref, what, b.options.Directory)
}

// inside is something that the layers that were read show in a directory, or
// the link or file in its place; "" if they show nothing.
func inside(view *layer.View, dir string) string {
	if node, known := view.Lookup(dir); known == layer.Present && node.Type != tar.TypeDir {
		return dir
	}
	for _, l := range view.Listings {
		var found []string
		for name := range l.Nodes {
			found = append(found, name)
		}
		for name := range l.Implied {
			found = append(found, name)
		}
		for name := range l.Files {
			found = append(found, name)
		}
		slices.Sort(found)
		for _, name := range found {
			inside, ok := strings.CutPrefix(name, dir+"/")
			if !ok || inside == AgentJar || below(inside, ExtensionsDir) {
				continue
			}
			if _, known := view.Lookup(name); known == layer.Present {
				return name
			}
		}
	}
	return ""
}

// refuseContents refuses what the whole image shows there. An agent of whatever
// kind, and what is removed, may go.
func (b *Builder) refuseContents(j *job, image contents.Image) error {
	own := path.Clean(b.options.Directory)
	wanted := []string{path.Dir(own)}
	if b.options.StartScript != nil {
		wanted = append(wanted, path.Dir(path.Clean(b.options.StartScript.Path)))
	}
	for _, dir := range wanted {
		if file := image.FileOn(dir); file != "" {
			return refuse(fleet.CodeImageRefused, "image %s has a file %s where a directory is to be for %s", j.rebuild.From, file, own)
		}
	}
	for _, name := range image.Inside(own) {
		gone := slices.ContainsFunc(j.rebuild.Remove, func(dir string) bool { return below(name, image.Real(dir)) || below(name, dir) })
		if !gone && !image.OfAgent(name) && !isOTel(image, own, name) {
			return b.refuseHiding(j.rebuild.From, name)
		}
	}
	return nil
}

// isOTel reports a file of an OpenTelemetry agent's own, in the directory of
// its jar: an application may lie beside that.
func isOTel(image contents.Image, dir, name string) bool {
	at := path.Join(image.Real(path.Dir(dir)), path.Base(dir))
	if !image.Has(path.Join(dir, AgentJar)) {
		return false
	}
	if below(name, path.Join(at, ExtensionsDir)) || name == path.Join(at, AgentJar) {
		return true
	}
	switch path.Ext(name) {
	case ".properties", ".yaml", ".yml", ".sh", ".txt", ".md":
		return path.Dir(name) == at
	}
	return false
}
