package imagebuild

import (
	"context"
	"errors"
	"path"
	"strconv"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/contents"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// fullPreflight looks into an image that is to be rebuilt, on every platform,
// refuses what could not run and warns of what may not.
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
	images, err := allImages(ctx, found.repo, m)
	if err != nil {
		return missing(j.rebuild.From, err)
	}
	var said []fleet.Warning
	on := map[fleet.Warning][]string{} // platforms
	for _, m := range images {
		doc, layers, err := configOf(ctx, found.repo, m)
		if err != nil {
			return missing(j.rebuild.From, err)
		}
		if len(layers) != len(doc.RootFS.DiffIDs) {
			continue // refused where it is built
		}
		one := *j
		one.warnings = nil
		if err := b.judge(ctx, &one, found.repo, doc, layers); err != nil {
			return onPlatform(err, doc, len(images))
		}
		for _, w := range one.warnings {
			if on[w] == nil {
				said = append(said, w)
			}
			on[w] = append(on[w], doc.String())
		}
	}
	for _, w := range said {
		if len(on[w]) < len(images) {
			j.warn(w.Code, "%s (%s)", w.Message, strings.Join(on[w], ", "))
		} else {
			j.warn(w.Code, "%s", w.Message)
		}
	}
	return nil
}

// onPlatform says for which of several platforms an image is refused.
func onPlatform(err error, doc configDoc, platforms int) error {
	var refused *fleet.RefusedError
	if platforms > 1 && errors.As(err, &refused) {
		return refuse(refused.Reason.Code, "%s (%s)", refused.Reason.Message, doc.platform)
	}
	return err
}

// judge looks into one platform's image.
func (b *Builder) judge(ctx context.Context, j *job, repo repository, doc configDoc, layers []descriptor) error {
	found, unread, err := b.preflight.look(ctx, repo, layers, doc.RootFS.DiffIDs)
	if err != nil {
		return missing(j.rebuild.From, err)
	}
	image := contents.Merge(found)
	for _, what := range append(unread, unreadArchives(image)...) {
		j.warn(fleet.CodePreflight, "%s of %s was not read: it may use SkyWalking's toolkit", what, j.rebuild.From)
	}
	for _, dir := range j.rebuild.Remove {
		if len(unread) == 0 && !image.Has(dir) {
			j.warn(fleet.CodeRemoval, "%s is not in %s: nothing to remove", dir, j.rebuild.From)
		}
	}
	base, last := image, len(layers)-1
	if last >= 0 && doc.RootFS.DiffIDs[last] == doc.Config.Labels[LabelLayer] && unreadable(layers[last]) == "" {
		base = contents.Merge(found[1:]) // our layer goes
	}
	if err := b.refuseContents(j, base); err != nil {
		return err
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
