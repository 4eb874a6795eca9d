package imagebuild

import (
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// removing is one removal of an image.
type removing struct {
	name   string // as asked for
	target string // where it really lies
	parent layer.Resolved
}

// removals finds where the image's removals really lie. What is gone with
// something else is left out: a whiteout below another, or below the agent's
// directory, is nothing that engines agree on (OCI image-spec v1.1, layer.md,
// "Whiteouts").
func (b *Builder) removals(j *job, s *stack, spec layer.Spec, where map[string]layer.Resolved) ([]removing, error) {
	var found []removing
	for _, dir := range s.remove {
		name := strings.TrimPrefix(dir, "/")
		r := removing{name: name, parent: where[path.Dir(name)]}
		if !r.parent.Exists {
			// A whiteout without a directory below it shows as a ghost.
			if b.options.Preflight != PreflightFull { // which has said it already
				j.warn(fleet.CodeRemoval, "/%s is not in %s: nothing to remove", name, s.ref)
			}
			continue
		}
		r.target = path.Join(r.parent.Path, path.Base(name))
		if isSystem(r.target) {
			return nil, refuse(fleet.CodeImageRefused, "/%s of %s cannot be removed: it is /%s", name, s.ref, r.target)
		}
		if below("/"+r.target, "/"+spec.Own) {
			continue // hidden with everything else that was there
		}
		kept := []string{spec.Own}
		for _, f := range spec.Extra {
			kept = append(kept, f.Name)
		}
		for _, k := range kept {
			if below("/"+k, "/"+r.target) {
				return nil, refuse(fleet.CodeImageRefused, "/%s of %s cannot be removed: /%s, which the new image gets, lies in it", name, s.ref, k)
			}
		}
		found = append(found, r)
	}
	var needed []removing
	for i, r := range found {
		done := slices.ContainsFunc(found[:i], func(o removing) bool { return o.target == r.target }) ||
			slices.ContainsFunc(found, func(o removing) bool { return o.target != r.target && below("/"+r.target, "/"+o.target) })
		if !done {
			needed = append(needed, r)
		}
	}
	return needed, nil
}

// warnRemoval says what a removal does not reach, or was not looked at.
func (b *Builder) warnRemoval(j *job, s *stack, view *layer.View, r removing) {
	if volume := s.hiding(view, r.target); volume != "" {
		j.warn(fleet.CodeVolume, "/%s lies in the volume %s of %s: what a running volume holds stays", r.name, volume, s.ref)
	}
	node, knowledge := view.Lookup(r.target)
	if knowledge == layer.Present && node.Link != "" {
		j.warn(fleet.CodeRemoval, "/%s of %s is a symbolic link to %s, which stays", r.name, s.ref, node.Link)
	}
	if knowledge != layer.Present && b.options.Preflight != PreflightFull {
		// Files are in no listing, so absent may be a file.
		j.warn(fleet.CodeRemoval, "/%s is removed without a look at whether %s has it (preflight: fast)", r.name, s.ref)
	}
}

// warnCommand names what the image's new command has of what is removed. A
// manifest may have a command of its own, so it is no refusal.
func (b *Builder) warnCommand(j *job, s *stack, after configDoc) {
	brings := []string{path.Join(b.options.Directory, AgentJar)}
	if b.options.StartScript != nil {
		brings = append(brings, path.Clean(b.options.StartScript.Path))
	}
	for _, word := range slices.Concat(after.Config.Entrypoint, after.Config.Cmd) {
		rest := word
		for _, file := range brings {
			rest = strings.ReplaceAll(rest, file, "")
		}
		for _, dir := range s.remove {
			if names(rest, dir) {
				j.warn(fleet.CodeScript, "the command of %s names %s, which the rebuilt image has not: a container without a command of its own may not start (%s)",
					s.ref, dir, javaagent.RedactWords([]string{word})[0])
			}
		}
	}
}
