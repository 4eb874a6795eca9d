package contents

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/otelshift/otelshift/pkg/imagebuild/jar"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// Layer is what one layer says; its parts are keyed by path.
type Layer struct {
	Listing *layer.Listing `json:"listing"`
	// Files are the regular files that replace others below; hard links and
	// special files too.
	Files map[string]struct{} `json:"files"`
	// Links are hard links -> files of layers below; those to files of the
	// layer itself say what these say.
	Links map[string]string `json:"links,omitempty"`

	Archives map[string]jar.Report `json:"archives,omitempty"` // and loose classes, with something to tell
	Agents   map[string]string     `json:"agents,omitempty"`   // SkyWalking's jar -> version
	Configs  map[string]string     `json:"configs,omitempty"`  // agent.config -> text
	Java     map[string]Java       `json:"java,omitempty"`     // the file that says it -> what it says
	Mentions map[string][]Mention  `json:"mentions,omitempty"` // text files that name SkyWalking or an agent
}

// Mention is a line of a text file.
type Mention struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

const (
	maxText     = 256 << 10 // of a text file that is searched
	maxLine     = 400       // of what is kept of a line
	maxMentions = 20        // of one file
	maxConfig   = 1 << 20
)

func newLayer() *Layer {
	return &Layer{
		Listing: layer.NewListing(), Files: map[string]struct{}{}, Links: map[string]string{}, Archives: map[string]jar.Report{}, Agents: map[string]string{},
		Configs: map[string]string{}, Java: map[string]Java{}, Mentions: map[string][]Mention{},
	}
}

// Read reads a layer's tar stream to its end. Of several entries with one name
// the last counts.
func Read(r io.Reader) (*Layer, error) {
	l := newLayer()
	for e, err := range layer.Entries(r) {
		if err != nil {
			return nil, fmt.Errorf("reading a layer: %w", err)
		}
		name, h := e.Name, e.Header
		if name == "" {
			continue
		}
		l.Listing.Add(name, h)
		switch h.Typeflag {
		case tar.TypeReg:
			if strings.HasPrefix(path.Base(name), ".wh.") {
				continue
			}
			l.forget(name)
			l.Files[name] = struct{}{}
			if err := l.file(name, h.Size, e.Content); err != nil {
				return nil, fmt.Errorf("reading %s of a layer: %w", name, err)
			}
		case tar.TypeXGlobalHeader:
		case tar.TypeDir, tar.TypeSymlink:
			l.forget(name)
			delete(l.Files, name)
		case tar.TypeLink:
			l.forget(name)
			l.Files[name] = struct{}{}
			if target, ok := layer.Clean(h.Linkname); ok {
				l.link(name, target)
			}
		default:
			l.forget(name)
			l.Files[name] = struct{}{}
		}
	}
	l.Listing.Complete = true
	return l, nil
}

// forget drops what an earlier entry of the same name said.
func (l *Layer) forget(name string) {
	if _, again := l.Files[name]; !again {
		return
	}
	delete(l.Links, name)
	delete(l.Archives, name)
	delete(l.Agents, name)
	delete(l.Configs, name)
	delete(l.Java, name)
	delete(l.Mentions, name)
}

// link makes name another name of target.
func (l *Layer) link(name, target string) {
	if _, here := l.Files[target]; !here {
		l.Links[name] = target
		return
	}
	if below, ok := l.Links[target]; ok {
		l.Links[name] = below
	}
	l.same(name, l, target)
}

// same lets a name say what a file of a layer says.
func (l *Layer) same(name string, from *Layer, target string) {
	if report, ok := from.Archives[target]; ok {
		l.Archives[name] = report
	}
	if version, ok := from.Agents[target]; ok {
		l.Agents[name] = version
	}
	if config, ok := from.Configs[target]; ok {
		l.Configs[name] = config
	}
	if java, ok := from.Java[target]; ok {
		java.Home = "/" + path.Dir(name)
		l.Java[name] = java
	}
	if found, ok := from.Mentions[target]; ok {
		l.Mentions[name] = found
	}
}

// file looks at one regular file.
func (l *Layer) file(name string, size int64, r io.Reader) error {
	base := path.Base(name)
	switch {
	case jar.IsArchive(name):
		return l.archive(name, r)
	case base == "agent.config" && size <= maxConfig:
		content, err := io.ReadAll(r)
		l.Configs[name] = string(content)
		return err //nolint:wrapcheck // wrapped by Read
	case size > maxText || size == 0 || dull(name):
		if strings.HasSuffix(base, ".class") {
			return l.loose(name, r)
		}
		return nil
	case strings.HasSuffix(base, ".class"):
		return l.loose(name, r)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err //nolint:wrapcheck // wrapped by Read
	}
	if bytes.IndexByte(content[:min(len(content), 512)], 0) >= 0 {
		return nil // a program or a picture
	}
	if base == "release" {
		if version := javaVersion(content); version != "" {
			l.Java[name] = Java{Home: "/" + path.Dir(name), Version: version}
			return nil
		}
	}
	if jar.Matters(name) {
		if err := l.loose(name, bytes.NewReader(content)); err != nil {
			return err
		}
	}
	if found := mentions(content); len(found) > 0 {
		l.Mentions[name] = found
	}
	return nil
}

// dull are the places of texts that nothing runs.
func dull(name string) bool {
	for _, dir := range []string{"usr/share/doc/", "usr/share/man/", "usr/share/licenses/", "usr/share/locale/", "var/lib/dpkg/", "lib/apk/", "var/cache/"} {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".md", ".html", ".htm", ".css", ".js", ".map", ".svg", ".java", ".txt", ".log", ".po", ".h", ".py", ".pem", ".ts":
		return true
	}
	return false
}

func (l *Layer) archive(name string, r io.Reader) error {
	report, err := jar.Scan(r, name)
	if err != nil {
		return err //nolint:wrapcheck // wrapped by Read
	}
	main := report.Manifest
	if strings.Contains(main["Premain-Class"], ".skywalking.") || strings.HasPrefix(path.Base(name), "skywalking-agent") {
		l.Agents[name] = main["Implementation-Version"]
	}
	// Java 8 and before: lib/rt.jar holds Java itself.
	if home, ok := strings.CutSuffix(name, "/lib/rt.jar"); ok && main["Implementation-Version"] != "" {
		l.Java[name] = Java{Home: "/" + strings.TrimSuffix(home, "/jre"), Version: main["Implementation-Version"]}
	}
	if !report.Empty() {
		l.Archives[name] = report
	}
	return nil
}

// loose is a class or a configuration file outside of archives.
func (l *Layer) loose(name string, r io.Reader) error {
	report, err := jar.ScanFile(r, name)
	if err == nil && !report.Empty() {
		l.Archives[name] = report
	}
	return err //nolint:wrapcheck // wrapped by Read
}

// javaVersion reads the file "release" of a JDK or JRE: JAVA_VERSION="17.0.15".
func javaVersion(content []byte) string {
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "JAVA_VERSION="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// mentions finds the lines that name SkyWalking or load an agent. Comments are
// left out.
func mentions(content []byte) []Mention {
	lower := bytes.ToLower(content)
	if !bytes.Contains(lower, []byte("skywalking")) && !bytes.Contains(lower, []byte("-javaagent:")) {
		return nil
	}
	var found []Mention
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		text := strings.TrimSpace(line)
		lower := strings.ToLower(text)
		if strings.HasPrefix(text, "#") || !strings.Contains(lower, "skywalking") && !strings.Contains(lower, "-javaagent:") {
			continue
		}
		if len(text) > maxLine {
			text = strings.ToValidUTF8(text[:maxLine], "") + "…"
		}
		found = append(found, Mention{Line: n, Text: text})
		if len(found) == maxMentions {
			break
		}
	}
	return found
}
