package kyamlfn

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Written is what a copy of an init container writes, by paths of the volume.
type Written struct {
	Volume string
	// Files are paths one of which the copy writes, where it takes a single file.
	Files []string
	// Dirs are directories one of which it fills with what the source holds.
	// Pattern is what the names there match; empty: any.
	Dirs    []string
	Pattern string
}

// plainFile matches the name of a file: no directory is called so.
var plainFile = regexp.MustCompile(`^[^*?\[$]*\.(jar|war|ear|so|zip|gz|tgz|xml|ya?ml|json|properties|conf|config|cfg|jks|p12|pem|crt|key|txt|sh)$`)

// Writes is what the copy writes into a volume of its container. It returns
// false where the target lies in none, or cannot be told.
func Writes(c *fleet.Container, command fleet.AgentCopy) (Written, bool) {
	from, to := expand(c, command.From), expand(c, command.To)
	m, ok := mountOf(c.Mounts, to)
	if !ok {
		return Written{}, false
	}
	out := Written{Volume: m.Volume}
	at, root := volumePath(m, to), path.Clean(to) == path.Clean(m.Path)
	if i := strings.IndexByte(at, '$'); i >= 0 { // somewhere below what is known
		out.Dirs = []string{path.Dir(at[:i] + "x")}
		return out, true
	}
	name := path.Base(from)
	switch {
	case strings.Contains(from, "$"), strings.HasSuffix(from, "/."), from == ".", name == "*":
		out.Dirs = []string{at}
	case strings.ContainsAny(name, "*?["):
		out.Dirs, out.Pattern = []string{at}, name
	case plainFile.MatchString(name) && (root || strings.HasSuffix(to, "/")):
		out.Files = []string{path.Join(at, name)}
	case plainFile.MatchString(name) && path.Ext(at) == path.Ext(name):
		out.Files = []string{at}
	case plainFile.MatchString(name):
		out.Files = []string{at, path.Join(at, name)}
	case root:
		out.Dirs = []string{path.Join(at, name)}
	default: // into it or as it: that depends on whether it is there
		out.Dirs = []string{at, path.Join(at, name)}
	}
	return out, true
}

// May reports that the copy may write the file, a path of the volume.
func (w Written) May(file string) bool {
	return slices.Contains(w.Files, file) || slices.ContainsFunc(w.Dirs, func(dir string) bool {
		rest, ok := within(file, dir)
		if !ok || rest == "" {
			return false
		}
		first, _, _ := strings.Cut(rest, "/")
		fits, err := path.Match(w.Pattern, first)
		return w.Pattern == "" || err != nil || fits
	})
}

// volumePath is the path in the volume of a file below its mount.
func volumePath(m fleet.Mount, file string) string {
	rest, _ := within(file, m.Path)
	return path.Join("/", m.SubPath, rest)
}

// bringer is an init container that may bring a jar.
type bringer struct {
	container *fleet.Container
	mount     fleet.Mount
	copies    []fleet.AgentCopy // that may write the jar, or those around them; nil: its image does
	exact     bool              // it writes this very file
	own       bool              // it is SkyWalking's by its image or by what it copies
	unknown   bool              // what it does to the volume is not understood
}

// bringers finds the init containers that bring the jar, a path of the volume.
// One that writes the very file counts before one that is SkyWalking's, and
// that before any other. More than one: it cannot be told.
func bringers(w *fleet.Workload, volume, jar string) []bringer {
	var found, unknown []bringer
	for i := range w.Containers {
		c := &w.Containers[i]
		if !c.Init {
			continue
		}
		for _, m := range c.Mounts {
			if m.Volume != volume {
				continue
			}
			if b, ok := brings(w, c, m, jar); ok && b.unknown {
				unknown = append(unknown, b)
			} else if ok {
				found = append(found, b)
			}
		}
	}
	for _, better := range []func(bringer) bool{func(b bringer) bool { return b.exact }, func(b bringer) bool { return b.own }} {
		if slices.ContainsFunc(found, better) {
			return slices.DeleteFunc(found, func(b bringer) bool { return !better(b) })
		}
	}
	if len(found) == 0 {
		// SkyWalking's own, though its copy goes elsewhere as it seems.
		return slices.DeleteFunc(unknown, func(b bringer) bool { return !b.own || b.copies == nil })
	}
	return append(found, slices.DeleteFunc(unknown, func(b bringer) bool { return b.copies != nil })...)
}

// brings judges one init container by its mount of the jar's volume.
func brings(w *fleet.Workload, c *fleet.Container, m fleet.Mount, jar string) (bringer, bool) {
	out := bringer{container: c, mount: m, own: AgentImage(c.Image.Text)}
	var into []fleet.AgentCopy
	moves := false
	for _, command := range copiesOf(c) {
		best, ok := mountOf(c.Mounts, expand(c, command.To))
		if !ok || best != m {
			continue
		}
		into = append(into, command)
		written, ok := Writes(c, command)
		if !ok || !written.May(jar) {
			continue
		}
		out.copies = append(out.copies, command)
		out.exact = out.exact || slices.Contains(written.Files, jar)
		_, inside := mountOf(c.Mounts, expand(c, command.From))
		moves = moves || inside
	}
	if moves { // what it moves came by another copy
		out.copies = into
	}
	out.own = out.own || slices.ContainsFunc(into, func(command fleet.AgentCopy) bool { return skyWalkingPath(command.From) })
	switch {
	case len(out.copies) > 0:
		return out, true
	case len(into) > 0:
		out.unknown, out.copies = true, into
		return out, true
	case unseenCopy(w, c, m):
		return out, true
	}
	out.unknown = true
	return out, mayWrite(c, m)
}

// mayWrite reports a command that may write files into the mount which it does
// not show.
func mayWrite(c *fleet.Container, m fleet.Mount) bool {
	if len(c.Command)+len(c.Args) == 0 {
		return false // its image's, as everywhere
	}
	list := commandsOf(c)
	return list == nil || slices.ContainsFunc(list, func(words []string) bool {
		if copies(words[0]) {
			_, to, ok := operands(words, func(word string) string { return word })
			to = expand(c, to)
			best, below := mountOf(c.Mounts, to)
			return !ok || !path.IsAbs(to) || below && best == m
		}
		return !writesNothing(words[0])
	})
}

// writesNothing reports a program that brings no file anywhere.
func writesNothing(program string) bool {
	switch path.Base(program) {
	case "chmod", "chown", "chgrp", "mkdir", "rm", "touch", "echo", "printf", "ls", "sleep", "set", "true", "test", "[", "exit", "nc", "nslookup", "until", "while", "do", "done":
		return true
	}
	return false
}

// Makes are the paths on its volumes that an init container writes, as far as
// its command shows them.
func Makes(c *fleet.Container) []Written {
	var out []Written
	for _, command := range copiesOf(c) {
		if w, ok := Writes(c, command); ok {
			out = append(out, w)
		}
	}
	for _, words := range commandsOf(c) {
		if base := path.Base(words[0]); base != "mkdir" && base != "touch" {
			continue
		}
		for _, word := range words[1:] {
			if m, ok := mountOf(c.Mounts, expand(c, word)); ok {
				out = append(out, Written{Volume: m.Volume, Files: []string{volumePath(m, expand(c, word))}})
			}
		}
	}
	return out
}

// commandsOf are the commands that the container runs, the words of each; a
// script that cannot be cut into commands has none.
func commandsOf(c *fleet.Container) [][]string {
	words := slices.Concat(c.Command, c.Args)
	for i, dialect := range WordDialects(c.Command, c.Args) {
		if dialect != javaagent.DialectShell {
			continue
		}
		list, ok := Commands(words[i].Text)
		if !ok {
			return nil
		}
		out := make([][]string, 0, len(list))
		for _, command := range list {
			out = append(out, command.Words)
		}
		return out
	}
	if len(words) == 0 {
		return nil
	}
	plain := make([]string, 0, len(words))
	for _, w := range words {
		plain = append(plain, w.Text)
	}
	return [][]string{plain}
}

// OfficialAgent reports the image of SkyWalking's own Java agent, or a mirror of
// it: what it holds, and that its tag is the agent's version, is known.
func OfficialAgent(ref string) bool {
	parsed, err := fleet.ParseImageRef(ref)
	return err == nil && path.Base(parsed.Repository) == "skywalking-java-agent"
}
