package plan

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// fate is what becomes of a command of an init container when the SkyWalking
// agent that it copies is replaced.
type fate int

const (
	// kept: it works as before, in any image that has a shell and cp.
	kept fate = iota
	// remark: kept, and it changes no file (echo, true, exit).
	remark
	// dropped: it serves only the old agent and goes with it.
	dropped
	// question: it asks about the old agent's files (test, [).
	question
)

// initScript judges the script of an init container, command by command. What
// is not understood is an error, never a guess.
type initScript struct {
	mounts []fleet.Mount
	env    map[string]string // what Kubernetes sets; only literals
	mount  fleet.Mount       // of the agent's volume
	home   string            // the old agent's directory in this container; empty: not known
	from   string            // the directory in the old image that it is copied from
	start  int               // where the copy command starts
	copy   string            // what takes its place
	// removing: the container goes altogether, so what its commands need of the
	// image does not matter.
	removing bool
	shared   bool // something beside the agent uses the volume

	text     string
	cwd      string // empty: the image's
	lost     bool   // a cd was dropped: relative paths mean something else now
	made     []string
	vars     map[string]*string // nil: set, to what is not known
	edits    []splice
	copied   bool
	plugins  []string // that dropped commands add to the agent
	settings []string // dropped commands that change its configuration
	trusted  bool     // they gave it a CA certificate
	beside   []string // kept commands that serve something else
}

// splice puts text in the place of a script's bytes.
type splice struct {
	start, end int
	text       string
}

var errShell = errors.New("it holds more than plain commands joined by ; && ||")

// plainValue matches what Kubernetes may put into a script for $(NAME) without
// changing its structure.
var plainValue = regexp.MustCompile(`^[\w./:@%+,=-]*$`)

// judge returns the script as it has to be for the new agent.
func (s *initScript) judge(script string) (string, error) {
	s.text, s.vars = script, map[string]*string{}
	// Kubernetes expands $(NAME) before the shell sees it; ${NAME} is as long and
	// means the same to the parser.
	source := reference.ReplaceAllStringFunc(script, func(match string) string {
		if value, ok := s.env[match[2:len(match)-1]]; ok && plainValue.MatchString(value) {
			return "${" + match[2:len(match)-1] + "}"
		}
		return match
	})
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(source), "")
	if err != nil {
		return "", fmt.Errorf("it cannot be read: %w", errShell)
	}
	s.text = source
	if err := s.list(file.Stmts); err != nil {
		return "", err
	}
	if !s.copied {
		return "", errors.New("its copy command does not run in every case")
	}
	slices.SortFunc(s.edits, func(a, b splice) int { return b.start - a.start })
	out := script
	end := len(out)
	for _, e := range s.edits {
		if e.end > end {
			continue // inside a command that goes altogether
		}
		out, end = out[:e.start]+e.text+out[e.end:], e.start
	}
	return out, nil
}

// reference matches Kubernetes' own $(NAME).
var reference = regexp.MustCompile(`\$\([A-Za-z_][\w.-]*\)`)

// list judges commands that follow one another and cuts those that go.
func (s *initScript) list(list []*syntax.Stmt) error {
	last := -1 // the last one that stays
	var gone []int
	for i, stmt := range list {
		f, err := s.stmt(stmt)
		if err != nil {
			return err
		}
		if f == kept || f == remark {
			last = i
		} else {
			gone = append(gone, i)
		}
	}
	if last < 0 {
		return errors.New("nothing of it is left")
	}
	for _, i := range gone {
		if i < last {
			s.cut(offset(list[i].Pos()), offset(list[i+1].Pos()))
			continue
		}
		// A comment behind the last one that stays does so too.
		from, least := offset(list[last+1].Pos()), offset(list[last].End())
		if semicolon := list[last].Semicolon; semicolon.IsValid() {
			least = offset(semicolon)
		}
		for from > least && strings.IndexByte(" \t\r\n;", s.text[from-1]) >= 0 {
			from--
		}
		s.cut(from, offset(list[len(list)-1].End()))
		break
	}
	return nil
}

func offset(p syntax.Pos) int { return int(p.Offset()) }

func (s *initScript) cut(start, end int) {
	// What lies inside is cut with it.
	s.edits = slices.DeleteFunc(s.edits, func(e splice) bool { return e.start >= start && e.end <= end })
	s.edits = append(s.edits, splice{start: start, end: end})
}

// stmt judges one command or several joined by && and ||.
func (s *initScript) stmt(stmt *syntax.Stmt) (fate, error) {
	if stmt.Negated || stmt.Background || stmt.Coprocess || stmt.Cmd == nil {
		return kept, errShell
	}
	switch c := stmt.Cmd.(type) {
	case *syntax.CallExpr:
		return s.call(stmt, c)
	case *syntax.BinaryCmd:
		if len(stmt.Redirs) > 0 {
			return kept, errShell
		}
		return s.joined(c)
	}
	return kept, errShell
}

func (s *initScript) joined(c *syntax.BinaryCmd) (fate, error) {
	if c.Op != syntax.AndStmt && c.Op != syntax.OrStmt {
		return kept, errShell
	}
	copied := s.copied
	x, err := s.stmt(c.X)
	if err != nil {
		return kept, err
	}
	between := s.copied
	y, err := s.stmt(c.Y)
	if err != nil {
		return kept, err
	}
	gone := func(f fate) bool { return f == dropped || f == question }
	if c.Op == syntax.OrStmt {
		switch {
		case gone(x) && (gone(y) || y == remark):
			return dropped, nil
		case !gone(x) && y == remark:
			if x == remark && copied == between {
				return remark, nil
			}
			return kept, nil
		}
		return kept, fmt.Errorf("what it does depends on a command that fails (||): %w", errShell)
	}
	switch {
	case gone(x) && gone(y), x == question && y == remark:
		return dropped, nil
	case x == question:
		return kept, errors.New("what it does depends on the old agent's files")
	case gone(x):
		s.cut(offset(c.X.Pos()), offset(c.Y.Pos()))
		return y, nil
	case gone(y):
		s.cut(offset(c.X.End()), offset(c.Y.End()))
		return x, nil
	case x == remark && y == remark:
		return remark, nil
	}
	return kept, nil
}

// argument is a word of a command as the shell passes it on.
type argument struct {
	text       string
	known      bool
	glob       bool // it holds an unquoted * ? or [
	start, end int
}

func (s *initScript) arguments(words []*syntax.Word) ([]argument, error) {
	var out []argument
	for _, w := range words {
		a := argument{known: true, start: offset(w.Pos()), end: offset(w.End())}
		if err := s.parts(&a, w.Parts, false); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func (s *initScript) parts(a *argument, parts []syntax.WordPart, quoted bool) error {
	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			if strings.ContainsAny(p.Value, `\~{`) {
				a.known = a.known && quoted && !strings.Contains(p.Value, `\`)
			}
			a.glob = a.glob || !quoted && strings.ContainsAny(p.Value, "*?[")
			a.text += p.Value
		case *syntax.SglQuoted:
			a.known = a.known && !p.Dollar
			a.text += p.Value
		case *syntax.DblQuoted:
			if err := s.parts(a, p.Parts, true); err != nil {
				return err
			}
		case *syntax.ParamExp:
			if p.Param == nil || p.Excl || p.Length || p.Width || p.Index != nil || p.Slice != nil || p.Repl != nil || p.Exp != nil || p.Names != 0 {
				return errShell
			}
			value, ok := s.variable(p.Param.Value)
			a.known = a.known && ok && (quoted || !strings.ContainsAny(value, " \t\n*?["))
			a.text += value
		default:
			return errShell // $(command), arithmetic and the like
		}
	}
	return nil
}

func (s *initScript) variable(name string) (string, bool) {
	if v, set := s.vars[name]; set {
		if v == nil {
			return "", false
		}
		return *v, true
	}
	v, ok := s.env[name]
	return v, ok && !strings.Contains(v, "$(")
}

// assign notes NAME=value.
func (s *initScript) assign(list []*syntax.Assign) (fate, error) {
	for _, a := range list {
		if a.Append || a.Naked || a.Index != nil || a.Array != nil || a.Name == nil {
			return kept, errShell
		}
		if a.Name.Value == "PATH" || a.Name.Value == "IFS" {
			return kept, fmt.Errorf("it sets %s", a.Name.Value)
		}
		value := ""
		if a.Value != nil {
			words, err := s.arguments([]*syntax.Word{a.Value})
			if err != nil {
				return kept, err
			}
			if !words[0].known {
				s.vars[a.Name.Value] = nil
				continue
			}
			value = words[0].text
		}
		s.vars[a.Name.Value] = &value
	}
	return remark, nil
}

// file is a path as the script means it.
func (s *initScript) file(a argument) (string, bool) {
	switch {
	case !a.known || a.text == "":
		return "", false
	case path.IsAbs(a.text):
		return path.Clean(a.text), true
	case s.cwd != "":
		return path.Join(s.cwd, a.text), true
	}
	return "", false
}

func (s *initScript) files(list []argument) ([]string, error) {
	var out []string
	for _, a := range list {
		f, ok := s.file(a)
		if !ok {
			return nil, fmt.Errorf("the path %s is not decided by the manifest", s.text[a.start:a.end])
		}
		out = append(out, f)
	}
	return out, nil
}

// agentFiles are what stands in the directory of a SkyWalking agent.
var agentFiles = regexp.MustCompile(`^(config|plugins|activations|bootstrap-plugins|optional-plugins|optional-reporter-plugins|expired-plugins|logs|licenses|ca|LICENSE.*|NOTICE.*|skywalking-agent.*)$`)

// agents reports a path that is the old agent's and nobody else's.
func (s *initScript) agents(file string) bool {
	if s.home == "" {
		return false
	}
	alone := s.home != path.Clean(s.mount.Path) // else the volume's root may hold more
	if file == s.home {
		return alone
	}
	if !within(file, s.home) {
		return false
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(file, strings.TrimSuffix(s.home, "/")+"/"), "/")
	return agentFiles.MatchString(first) || alone && strings.ContainsAny(first, "*?[")
}

// there reports a path that exists in the new container too: a mount, what
// mkdir -p made, or a glob that finds at least the new agent.
func (s *initScript) there(file string) bool {
	if slices.Contains(s.made, file) || slices.ContainsFunc(s.mounts, func(m fleet.Mount) bool { return path.Clean(m.Path) == file }) {
		return true
	}
	return s.copied && path.Base(file) == "*" && path.Dir(file) == path.Clean(s.mount.Path)
}

// mounted reports a path on a volume.
func (s *initScript) mounted(file string) bool {
	return slices.ContainsFunc(s.mounts, func(m fleet.Mount) bool { return file == path.Clean(m.Path) || within(file, m.Path) })
}

// serves notes the paths of a kept command that are not there for the agent
// alone.
func (s *initScript) serves(program string, files ...string) {
	for _, f := range files {
		way := f == path.Clean(s.mount.Path) || f == s.home || s.home != "" && within(s.home, f)
		if !s.agents(f) && (s.shared || !way) {
			s.beside = append(s.beside, program+" "+f)
		}
	}
}
