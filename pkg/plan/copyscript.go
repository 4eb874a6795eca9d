package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// A script of an init container that copies the agent does more in the wild:
// it makes the directory, copies optional plugins beside the others, writes
// agent.config, changes modes. What serves the old agent alone goes with it;
// what cannot be told stops the edit.

// agentScript is a script that copies an agent from a directory into a mount.
type agentScript struct {
	from, mount string // the old agent's directory and the volume's
	jar, to     string // the new agent's jar in the image, and where it goes
}

// rewrite returns the script with the command at [start, end) replaced by the
// copy of the new agent, and without what serves the old one alone. The second
// result says why it cannot, the third names the plugins whose copies go.
func (a agentScript) rewrite(script string, start, end int) (text, why string, plugins []string) {
	list, ok := kyamlfn.Commands(script)
	if !ok {
		return "", "its quotes do not end", nil
	}
	at := slices.IndexFunc(list, func(s kyamlfn.Command) bool { return s.Start <= start && end <= s.End })
	if at < 0 {
		return "", "its place in the script is not known", nil
	}
	compound := slices.ContainsFunc(list, func(s kyamlfn.Command) bool { return keyword(s.Words[0]) })
	texts := make([]string, len(list))
	drop := make([]bool, len(list))
	for i, s := range list {
		texts[i] = script[s.Start:s.End]
		if i == at {
			texts[i] = script[s.Start:start] + "cp " + a.jar + " " + a.to + script[end:s.End]
			continue
		}
		switch verdict, edited := a.judge(s, texts[i]); verdict {
		case keeps:
			texts[i] = edited
		case goes:
			if compound {
				return "", "it has conditions or loops, and does more with the old agent: " + texts[i], nil
			}
			drop[i] = true
			for _, w := range s.Words[1:] {
				base, isJar := strings.CutSuffix(path.Base(w), ".jar")
				if isJar && strings.Contains(w, "plugins/") && !slices.Contains(plugins, base) {
					plugins = append(plugins, base)
				}
			}
		case unclear:
			return "", "the script does more with the old agent: " + texts[i], nil
		case configures:
			return "", "the script writes the old agent's options: " + texts[i], nil
		}
	}
	for i := 0; i < len(list); i++ {
		s := list[i]
		if !drop[i] {
			continue
		}
		switch { // what a command's outcome decides goes with it
		case s.Separator == "||" && i+1 < len(list) && len(list[i+1].Words) == 1 && (list[i+1].Words[0] == "true" || list[i+1].Words[0] == ":"):
			i++
			drop[i] = true
		case s.Separator == "|" || s.Separator == "||" || s.Separator == "&" || i > 0 && (list[i-1].Separator == "|" || list[i-1].Separator == "||"):
			return "", "the script does more with the old agent: " + texts[i], nil
		}
	}
	return join(script, list, texts, drop), "", plugins
}

// join puts the segments that stay together again. A segment that goes takes
// its separator along, or the one before it at the end.
func join(script string, list []kyamlfn.Command, texts []string, drop []bool) string {
	last := len(list) - 1
	for last > 0 && drop[last] {
		last--
	}
	var b strings.Builder
	from := 0
	for i, s := range list {
		if i > last {
			break
		}
		if drop[i] {
			b.WriteString(script[from:s.Start])
			from = s.Next
			for from < len(script) && strings.IndexByte(" \t\r\n", script[from]) >= 0 {
				from++
			}
			continue
		}
		b.WriteString(script[from:s.Start])
		b.WriteString(texts[i])
		from = s.End
		if i == last && last < len(list)-1 {
			if s.Separator == "\n" { // a comment behind it
				b.WriteString(script[s.End : s.Next-1])
			}
			from = list[len(list)-1].End // the end's own separator stays
		}
	}
	b.WriteString(script[from:])
	return b.String()
}

type verdict int

const (
	keeps verdict = iota
	goes
	configures
	unclear
)

// judge tells what becomes of another command of the script; edited is its
// text then.
func (a agentScript) judge(s kyamlfn.Command, text string) (v verdict, edited string) {
	var old, below, other []string // words that are paths
	for _, w := range s.Words[1:] {
		w = strings.TrimLeft(w, "<>")
		switch clean := path.Clean(w); {
		case !strings.Contains(w, "/") || strings.HasPrefix(w, "-"):
		case in(clean, a.from):
			old = append(old, w)
		case clean != a.mount && in(clean, a.mount):
			below = append(below, w)
		case strings.HasPrefix(w, "/") && clean != a.mount:
			other = append(other, w)
		}
	}
	if in(path.Clean(s.Words[0]), a.from) {
		return unclear, ""
	}
	if len(old)+len(below) == 0 {
		if strings.Contains(text, a.from+"/") {
			return unclear, ""
		}
		return keeps, text
	}
	if slices.ContainsFunc(below, func(w string) bool { return strings.HasSuffix(w, ".config") }) && path.Base(s.Words[0]) != "rm" && path.Base(s.Words[0]) != "ls" {
		return configures, ""
	}
	switch path.Base(s.Words[0]) {
	case "cp", "mv", "ln", "rsync":
		last := s.Words[len(s.Words)-1]
		switch {
		case len(other) == 0:
			return goes, ""
		case len(old) == 0 && len(below) == 1 && last == below[0] && path.Dir(path.Clean(last)) == a.mount && !strings.HasSuffix(last, "/"):
			return keeps, text // something else goes onto the volume
		}
	case "chmod", "chown", "chgrp":
		if len(other) > 0 || len(old) > 0 {
			break
		}
		for i, w := range below {
			to := a.to
			if i > 0 {
				to = ""
			}
			text = strings.Replace(text, w, to, 1)
		}
		return keeps, strings.TrimRight(text, " ")
	case "rm", "sed", "touch", "mkdir", "ls", "echo", "printf", "cat", "find", "unzip", "tar", "test", "[":
		if len(other) == 0 {
			return goes, ""
		}
	}
	return unclear, ""
}

// in reports a path in the directory, or the directory.
func in(file, dir string) bool { return file == dir || strings.HasPrefix(file, dir+"/") }

// keyword reports a word that begins or ends a compound command.
func keyword(word string) bool {
	switch word {
	case "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function", "{", "}", "(", ")", "!":
		return true
	}
	return strings.HasPrefix(word, "(") || strings.HasSuffix(word, "()")
}

// oldDirectory is the directory that a copy takes: "/agent" of "/agent/*".
func oldDirectory(from string) string {
	return path.Clean(strings.TrimSuffix(strings.TrimSuffix(from, "*"), "."))
}

// setCommand gives an init container whose image copies by itself a command.
func (d *draft) setCommand(c fleet.Container, words []string) {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
		d.effect(fleet.Effect{Field: c.Field + ".command[" + string(rune('0'+i)) + "]", New: w, OldAbsent: true})
	}
	d.addAt(fleet.Value{Field: c.Field, Place: c.Place, At: c.At}, ".command", "["+strings.Join(quoted, ", ")+"]", "", c.Place)
}
