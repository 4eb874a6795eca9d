package imagebuild

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/contents"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Inspect implements migrate.Images: manifest and configuration, two requests
// (three for an index). Where these load no SkyWalking agent, the scripts that
// Entrypoint and Cmd name are read too, from the layers.
func (b *Builder) Inspect(ctx context.Context, ref string) (fleet.ImageInfo, error) {
	parsed, err := fleet.ParseImageRef(ref)
	if err != nil {
		return fleet.ImageInfo{}, refusedReference(err)
	}
	repo, err := b.open()(parsed.Repository, wire.Pull)
	if err != nil {
		return fleet.ImageInfo{}, refusedReference(err)
	}
	m, err := repo.Manifest(ctx, manifestName(parsed))
	if err != nil {
		return fleet.ImageInfo{}, missing(ref, err)
	}
	if err := schema(ref, m.MediaType); err != nil {
		return fleet.ImageInfo{}, err
	}
	one, err := anyImage(ctx, repo, m)
	if err != nil {
		return fleet.ImageInfo{}, missing(ref, err)
	}
	doc, layers, err := configOf(ctx, repo, one)
	if err != nil {
		return fleet.ImageInfo{}, missing(ref, err)
	}
	info := fleet.ImageInfo{
		APIVersion: fleet.APIVersion, Kind: "Image", Reference: ref, Digest: m.Digest, MediaType: m.MediaType,
		Platforms: []string{}, Env: []string{}, Entrypoint: javaagent.RedactWords(doc.Config.Entrypoint), Cmd: javaagent.RedactWords(doc.Config.Cmd),
		User: doc.Config.User, WorkingDir: doc.Config.WorkingDir, Labels: map[string]string{}, Loads: []fleet.ImageLoad{},
	}
	for key, value := range doc.Config.Labels {
		info.Labels[key] = redactEnv(key, value)[len(key)+1:]
	}
	if isIndex(m.MediaType) {
		index, err := parseIndex(m.Body)
		if err != nil {
			return fleet.ImageInfo{}, fmt.Errorf("reading image %s: %w", ref, err)
		}
		for _, d := range index.Manifests {
			if part := d.part(); d.Platform != nil && (part == anImage || part == anotherOS) {
				info.Platforms = append(info.Platforms, d.Platform.String())
			}
		}
		if len(info.Platforms) == 0 && doc.platform != (platform{}) { // entries need not say it
			info.Platforms = append(info.Platforms, doc.String())
		}
	} else {
		info.Platforms = append(info.Platforms, doc.String())
	}
	for _, entry := range doc.Config.Env {
		name, value, _ := strings.Cut(entry, "=")
		info.Env = append(info.Env, redactEnv(name, value))
	}
	info.Loads = append(info.Loads, configLoads(doc.Config.Env, doc.Config.Entrypoint, doc.Config.Cmd)...)
	if b.options.Preflight == PreflightFull {
		known := map[string]platformImage{one.Digest: {doc: doc, layers: layers}}
		if err := b.inspectContents(ctx, repo, m, known, &info); err != nil {
			return fleet.ImageInfo{}, missing(ref, err)
		}
	}
	if err := b.inspectScripts(ctx, repo, doc, layers, &info); err != nil {
		return fleet.ImageInfo{}, missing(ref, err)
	}
	if layer := doc.Config.Labels[LabelLayer]; layer != "" {
		info.Base = &fleet.ImageBase{
			Name: doc.Config.Labels[LabelBaseName], Digest: doc.Config.Labels[LabelBaseDigest],
			Layer: layer, AgentVersion: doc.Config.Labels[LabelAgentVersion],
		}
		if err := wasOriginally(info.Base, doc); err != nil {
			return fleet.ImageInfo{}, fmt.Errorf("reading image %s: %w", ref, err)
		}
	}
	return info, nil
}

// platformImage is one platform's image.
type platformImage struct {
	doc    configDoc
	layers []descriptor
}

// inspectContents reads the layers of every platform; what is known of some,
// by digest, is not asked again.
func (b *Builder) inspectContents(ctx context.Context, repo repository, m wire.Manifest, known map[string]platformImage, info *fleet.ImageInfo) error {
	images, err := allImages(ctx, repo, m)
	if err != nil {
		return err
	}
	for _, m := range images {
		p, ok := known[m.Digest]
		if !ok {
			if p.doc, p.layers, err = configOf(ctx, repo, m); err != nil {
				return err
			}
		}
		doc, layers := p.doc, p.layers
		if len(layers) != len(doc.RootFS.DiffIDs) {
			continue // it will be refused
		}
		found, unread, err := b.preflight.look(ctx, repo, layers, doc.RootFS.DiffIDs)
		if err != nil {
			return err
		}
		image := contents.Merge(found)
		info.Contents = unite(info.Contents, contentsOf(image))
		for _, what := range append(unread, unreadArchives(image)...) {
			w := fleet.Warning{Code: fleet.CodePreflight, Message: what + " was not read"}
			if !slices.Contains(info.Warnings, w) {
				info.Warnings = append(info.Warnings, w)
			}
		}
	}
	return nil
}

// wasOriginally adds what the base of an image of ours said, as its label
// keeps it.
func wasOriginally(base *fleet.ImageBase, doc configDoc) error {
	if doc.Config.Labels[LabelOriginal] == "" {
		return nil
	}
	found, err := tracesOf(doc.Config.Labels)
	if err != nil {
		return err
	}
	said, _ := doc.undo(found) // what cannot be undone is refused where it is built
	if said.Env == nil {
		said.Env = doc.Config.Env // not edited
	}
	base.Entrypoint, base.Cmd = javaagent.RedactWords(said.Entrypoint), javaagent.RedactWords(said.Cmd)
	for _, entry := range effective(said.Env) {
		name, value, _ := strings.Cut(entry, "=")
		base.Env = append(base.Env, redactEnv(name, value))
	}
	return nil
}

// configLoads finds agent flags in an image's configuration.
func configLoads(env, entrypoint, cmd []string) []fleet.ImageLoad {
	var found []fleet.ImageLoad
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		found = append(found, loads("Env "+name, value, javaagent.DialectOf(name))...)
	}
	return append(found, commandLoads(entrypoint, cmd)...)
}

// inspectScripts looks into start scripts, where nothing else says what loads
// the agent.
func (b *Builder) inspectScripts(ctx context.Context, repo repository, doc configDoc, layers []descriptor, info *fleet.ImageInfo) error {
	for _, load := range info.Loads {
		if load.Agent == javaagent.SkyWalking {
			return nil
		}
	}
	scripts := scriptsOf(doc)
	if len(scripts) == 0 {
		return nil
	}
	sees, err := b.readScripts(ctx, repo, layers, scripts, moreScripts(doc))
	if err != nil {
		return err
	}
	for _, s := range sees.found {
		info.Loads = append(info.Loads, scriptLoads(s)...)
	}
	warn := func(format string, args ...any) {
		info.Warnings = append(info.Warnings, fleet.Warning{Code: fleet.CodeScript, Message: fmt.Sprintf(format, args...)})
	}
	loaded := slices.ContainsFunc(info.Loads, func(l fleet.ImageLoad) bool { return l.Agent == javaagent.SkyWalking })
	switch {
	case !sees.complete:
		warn("the start scripts of %s were not all found: %s", info.Reference, sees.stopped)
	case len(sees.unread) > 0 && !loaded:
		warn("the start scripts of %s name %s, which may lie in layers that were not read: SkyWalking loaded there would not be seen", info.Reference, strings.Join(sees.unread, ", "))
	}
	return nil
}

// commandLoads looks at an exec form item by item, and at what is handed to a
// shell ("sh", "-c", "…") as the shell reads it. Entrypoint and Cmd are one
// command: the script may be the other list's.
func commandLoads(entrypoint, cmd []string) []fleet.ImageLoad {
	var found []fleet.ImageLoad
	command := slices.Concat(entrypoint, cmd)
	for i, arg := range command {
		dialect := javaagent.DialectExec
		if isShellScript(command, i) {
			dialect = javaagent.DialectShell
		}
		where := fmt.Sprintf("%s[%d]", fleet.ListEntrypoint, i)
		if i >= len(entrypoint) {
			where = fmt.Sprintf("%s[%d]", fleet.ListCmd, i-len(entrypoint))
		}
		found = append(found, loads(where, arg, dialect)...)
	}
	return found
}

func loads(where, value string, dialect javaagent.Dialect) []fleet.ImageLoad {
	var found []fleet.ImageLoad
	for _, flag := range javaagent.Agents(value, dialect) {
		found = append(found, fleet.ImageLoad{Agent: flag.Kind, Where: where, Value: javaagent.Redact(value), Jar: flag.Jar})
	}
	return found
}

// redactEnv hides what looks like a secret.
func redactEnv(name, value string) string {
	if javaagent.IsSecret(name) {
		return javaagent.Redact(name + "=" + value)
	}
	return name + "=" + javaagent.Redact(value)
}
