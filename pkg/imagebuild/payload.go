package imagebuild

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/jar"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
)

// payload is what every rebuilt image receives. It is read once, when it is
// first needed; a source that names its own digest is not read for its
// identity.
type payload struct {
	options *Options
	open    opener

	mu       sync.Mutex
	id       *fleet.Payload
	content  []layer.File         // below Directory
	local    map[int][]layer.File // files of local sources, hashed, that identity has read
	pinned   map[string]string
	version  string // of the jar, once it was read
	readDone bool
}

// identity is Builder.Payload.
func (p *payload) identity(ctx context.Context) (fleet.Payload, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id != nil {
		return *p.id, nil
	}
	var b strings.Builder
	o := p.options
	fmt.Fprintf(&b, "otelshift payload 1\ndirectory %q\nentrypoint %q\n", path.Clean(o.Directory), o.Entrypoint)
	if o.StartScript != nil {
		fmt.Fprintf(&b, "script %q %x\n", path.Clean(o.StartScript.Path), sha256.Sum256(o.StartScript.Content))
	}
	for i, source := range append([]Source{o.Agent}, o.Extensions...) {
		line, err := p.sourceIdentity(ctx, i, source)
		if err != nil {
			return fleet.Payload{}, err
		}
		fmt.Fprintf(&b, "source %d %s\n", min(i, 1), line)
	}
	sum := sha256.Sum256([]byte(b.String()))
	version := o.Version
	if version == "" {
		if err := p.load(ctx); err != nil {
			return fleet.Payload{}, err
		}
		version = p.version
	}
	p.id = &fleet.Payload{Version: version, Digest: "sha256:" + hex.EncodeToString(sum[:]), Starts: o.StartScript.loads()}
	return *p.id, nil
}

// sourceIdentity changes exactly when the files do that the source gives, as
// far as can be told without downloading it.
func (p *payload) sourceIdentity(ctx context.Context, i int, s Source) (string, error) {
	switch {
	case s.URL != "":
		if s.isArchive() {
			return fmt.Sprintf("archive %s %q", strings.ToLower(s.SHA256), s.StripPrefix), nil
		}
		return "jar " + strings.ToLower(s.SHA256), nil
	case s.Image != "":
		digest, err := p.pin(ctx, s)
		// The number is that of the way from an image to its files.
		return fmt.Sprintf("image 2 %s %q", digest, path.Clean(s.Path)), err
	}
	files, err := s.read(ctx, p.open, p.options.Transport)
	if err != nil {
		return "", err
	}
	for at, f := range files {
		sum := sha256.Sum256(f.Content)
		files[at].Sum = hex.EncodeToString(sum[:])
	}
	if p.local == nil {
		p.local = map[int][]layer.File{}
	}
	p.local[i] = files
	if len(files) == 1 && s.File != "" {
		return "jar " + files[0].Sum, nil
	}
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b layer.File) int { return strings.Compare(a.Name, b.Name) })
	var list strings.Builder
	for _, f := range files {
		fmt.Fprintf(&list, "%q %o %s\n", f.Name, f.Mode, f.Sum)
	}
	return fmt.Sprintf("files %x", sha256.Sum256([]byte(list.String()))), nil
}

// pin resolves an image source once, so that its identity and its content
// cannot differ.
func (p *payload) pin(ctx context.Context, s Source) (string, error) {
	if digest, ok := p.pinned[s.Image]; ok {
		return digest, nil
	}
	parsed, err := fleet.ParseImageRef(s.Image)
	if err != nil {
		return "", fmt.Errorf("reading agent source: %w", err)
	}
	digest := parsed.Digest
	if digest == "" {
		repo, err := p.open(parsed.Repository, wire.Pull)
		if err != nil {
			return "", fmt.Errorf("reading agent source: %w", err)
		}
		d, err := repo.Head(ctx, manifestName(parsed))
		if err != nil {
			return "", fmt.Errorf("reading agent source %s: %w", s, err)
		}
		digest = d.Digest
	}
	if p.pinned == nil {
		p.pinned = map[string]string{}
	}
	p.pinned[s.Image] = digest
	return digest, nil
}

// files returns what goes below the agent's directory, and the jar's version.
func (p *payload) files(ctx context.Context) (files []layer.File, version string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err = p.load(ctx)
	return p.content, p.version, err
}

// pack compresses what the layers of all images will share.
func (p *payload) pack(ctx context.Context) {
	files, _, err := p.files(ctx)
	if err != nil {
		return // files says so to whoever needs them
	}
	for _, f := range files {
		if f.Packed != nil {
			_, _ = f.Packed.Member() // kept, its error too
		}
	}
}

// load reads every source; p.mu is held.
func (p *payload) load(ctx context.Context) error {
	if p.readDone {
		return nil
	}
	agent, err := p.readSource(ctx, 0, p.options.Agent)
	if err != nil {
		return err
	}
	content, version, err := agentFiles(agent)
	if err != nil {
		return fmt.Errorf("reading agent source %s: %w", p.options.Agent, err)
	}
	for i, source := range p.options.Extensions {
		files, err := p.readSource(ctx, i+1, source)
		if err != nil {
			return err
		}
		for _, f := range files {
			if strings.HasSuffix(f.Name, ".jar") {
				f.Name = ExtensionsDir + "/" + f.Name
				content = append(content, f)
			}
		}
	}
	seen := map[string]bool{}
	for i, f := range content {
		if f.Sum == "" {
			sum := sha256.Sum256(f.Content)
			content[i].Sum = hex.EncodeToString(sum[:])
		}
		if seen[f.Name] {
			return fmt.Errorf("reading the agent and its extensions: %s comes from two of them", f.Name)
		}
		seen[f.Name] = true
		content[i].Packed = layer.Pack(f.Content)
	}
	p.content, p.version, p.readDone, p.local = content, version, true, nil
	return nil
}

func (p *payload) readSource(ctx context.Context, i int, s Source) ([]layer.File, error) {
	if files, ok := p.local[i]; ok {
		return slices.Clone(files), nil
	}
	if s.Image != "" {
		digest, err := p.pin(ctx, s)
		if err != nil {
			return nil, err
		}
		parsed, err := fleet.ParseImageRef(s.Image)
		if err != nil {
			return nil, err
		}
		parsed.Digest = digest
		s.Image = parsed.String()
	}
	return s.read(ctx, p.open, p.options.Transport)
}

// agentFiles names the agent's jar AgentJar: it is the only jar at the top, or
// the one that says that it is OpenTelemetry's agent, or has the name already.
func agentFiles(files []layer.File) ([]layer.File, string, error) {
	agent, others := -1, 0
	for i, f := range files {
		if !strings.HasSuffix(f.Name, ".jar") || strings.Contains(f.Name, "/") {
			continue
		}
		others++
		if f.Name == AgentJar || agent < 0 || premain(f.Content) && files[agent].Name != AgentJar {
			agent = i
		}
	}
	if agent < 0 {
		return nil, "", fmt.Errorf("no jar in it; its name has to end in .jar and to lie at the top (see stripPrefix)")
	}
	if others > 1 && files[agent].Name != AgentJar && !premain(files[agent].Content) {
		return nil, "", fmt.Errorf("%d jars in it and none is called %s", others, AgentJar)
	}
	content := slices.Clone(files)
	content[agent].Name = AgentJar
	return content, manifestOf(content[agent].Content)["Implementation-Version"], nil
}

func premain(content []byte) bool {
	return strings.HasPrefix(manifestOf(content)["Premain-Class"], "io.opentelemetry.javaagent.")
}

// manifestOf reads the main section of a jar's manifest; what is no jar has
// none.
func manifestOf(content []byte) map[string]string {
	text, err := entryOf(content, "META-INF/MANIFEST.MF")
	if err != nil {
		return nil
	}
	return jar.ParseManifest(string(text))
}

func entryOf(content []byte, name string) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // reading only
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// java is the least Java that the agent runs on, by the version of the class
// that the JVM loads first. JVMS, 4.1: 52 is Java 8.
func (p *payload) java(ctx context.Context) (int, error) {
	const oldest = 8 // of OpenTelemetry's agent, should its jar not tell
	files, _, err := p.files(ctx)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		if f.Name != AgentJar {
			continue
		}
		class, err := entryOf(f.Content, strings.ReplaceAll(manifestOf(f.Content)["Premain-Class"], ".", "/")+".class")
		if err == nil && len(class) > 8 && binary.BigEndian.Uint32(class) == 0xcafebabe {
			return max(int(binary.BigEndian.Uint16(class[6:]))-44, oldest), nil
		}
	}
	return oldest, nil
}
