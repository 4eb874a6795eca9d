package plan

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// standard reports a program that is what its name says. The new image has its
// programs in /bin alone (busybox).
func standard(program string) bool {
	switch path.Dir(program) {
	case ".", "/bin":
		return !strings.HasPrefix(program, "./")
	case "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin":
		return true
	}
	return false
}

// bare is the program as every image with busybox finds it.
func bare(program string) string {
	if path.Dir(program) == "." || path.Dir(program) == "/bin" {
		return program
	}
	return path.Base(program)
}

// call judges one command with its arguments.
func (s *initScript) call(stmt *syntax.Stmt, c *syntax.CallExpr) (fate, error) {
	outputs, err := s.redirects(stmt)
	if err != nil {
		return kept, err
	}
	if len(c.Args) == 0 {
		if len(stmt.Redirs) > 0 {
			return kept, errShell
		}
		return s.assign(c.Assigns)
	}
	words, err := s.arguments(c.Args)
	if err != nil {
		return kept, err
	}
	if len(c.Assigns) > 0 || !words[0].known || words[0].glob && words[0].text != "[" {
		return kept, errShell
	}
	full := words[0].text
	if !standard(full) {
		return kept, fmt.Errorf("it runs %s, which the new image does not have", full)
	}
	program := path.Base(full)
	if offset(stmt.Pos()) == s.start && copies(program) {
		s.copied = true
		s.edits = append(s.edits, splice{start: offset(c.Pos()), end: offset(c.End()), text: s.copy})
		return kept, nil
	}
	f, err := s.command(program, words[1:], outputs)
	if err != nil {
		return kept, fmt.Errorf("%s: %w", program, err)
	}
	if (f == kept || f == remark) && bare(full) != full {
		s.edits = append(s.edits, splice{start: words[0].start, end: words[0].end, text: bare(full)})
	}
	return f, nil
}

func copies(program string) bool { return program == "cp" || program == "mv" }

// redirects are the files that the command's output goes to.
func (s *initScript) redirects(stmt *syntax.Stmt) ([]string, error) {
	var out []string
	for _, r := range stmt.Redirs {
		if r.Hdoc != nil || r.Word == nil {
			return nil, errShell
		}
		words, err := s.arguments([]*syntax.Word{r.Word})
		if err != nil {
			return nil, err
		}
		merges := r.Op == syntax.DplOut && (words[0].text == "1" || words[0].text == "2")
		if !merges && r.Op != syntax.RdrOut && r.Op != syntax.AppOut && r.Op != syntax.ClbOut {
			return nil, errShell // &> and here-strings are bash's, < reads a file
		}
		if merges || slices.Contains([]string{"/dev/null", "/dev/stdout", "/dev/stderr"}, words[0].text) {
			continue
		}
		files, err := s.files(words)
		if err != nil {
			return nil, err
		}
		out = append(out, files...)
	}
	return out, nil
}

// command judges a program by what it does to which files.
func (s *initScript) command(program string, args []argument, outputs []string) (fate, error) {
	if len(outputs) > 0 {
		return s.writes(program, args, outputs)
	}
	switch program {
	case "true", ":", "echo", "printf", "exit", "date", "id", "pwd":
		return remark, nil
	case "sleep":
		return remark, s.must(len(args) == 1 && args[0].known, "its argument is not known")
	case "set":
		return s.set(args)
	case "cd":
		return s.chdir(args)
	case "mkdir":
		return s.mkdir(args)
	case "cp", "mv":
		return s.transfer(program, args)
	case "chmod", "chown", "chgrp":
		return s.mode(program, args)
	case "rm", "touch", "cat", "ls", "ln", "sed", "test", "[":
		return s.serving(program, args)
	}
	return kept, errors.New("it is not known what it does, and whether the new image has it")
}

// must is an error unless ok, or the container goes anyway.
func (s *initScript) must(ok bool, format string, args ...any) error {
	if ok || s.removing {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// split parts options from operands. Options with a value of their own take it
// from the next word.
func split(args []argument, valued string) (options []string, rest []argument, err error) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case !a.known && (a.text == "" || a.text[0] == '-'):
			return nil, nil, errors.New("an argument is not decided by the manifest")
		case !a.known:
			rest = append(rest, a)
		case a.text == "--":
			return options, append(rest, args[i+1:]...), nil
		case len(a.text) < 2 || a.text[0] != '-':
			rest = append(rest, a)
		default:
			options = append(options, a.text)
			if !strings.HasPrefix(a.text, "--") && strings.ContainsAny(a.text[len(a.text)-1:], valued) && i+1 < len(args) {
				i++
				options = append(options, args[i].text)
			}
		}
	}
	return options, rest, nil
}

// short reports that all options are among the letters, or the long ones.
func short(options []string, letters string, long ...string) bool {
	return !slices.ContainsFunc(options, func(o string) bool {
		if strings.HasPrefix(o, "--") {
			return !slices.Contains(long, o)
		}
		return strings.Trim(o[1:], letters) != ""
	})
}

var setOption = regexp.MustCompile(`^[-+][eux]*o?$`)

func (s *initScript) set(args []argument) (fate, error) {
	for i, a := range args {
		named := i > 0 && strings.HasSuffix(args[i-1].text, "o") && slices.Contains([]string{"errexit", "nounset", "xtrace", "pipefail"}, a.text)
		if !a.known || !setOption.MatchString(a.text) && !named {
			return kept, fmt.Errorf("the option %s is not known", a.text)
		}
	}
	return remark, nil
}

func (s *initScript) chdir(args []argument) (fate, error) {
	dirs, err := s.files(args)
	if err != nil || len(dirs) != 1 || strings.HasPrefix(args[0].text, "-") {
		return kept, errors.New("where it goes is not known")
	}
	s.cwd = dirs[0]
	if s.there(dirs[0]) {
		s.lost = false
		return kept, nil
	}
	// The new container has no such directory; nothing that stays may need it.
	s.lost = true
	return dropped, nil
}

// stays checks that the operands of a command that stays mean the same in the
// new container.
func (s *initScript) stays(args []argument) error {
	for _, a := range args {
		if s.lost && !path.IsAbs(a.text) {
			return fmt.Errorf("the path %s is relative to a directory that is gone", a.text)
		}
	}
	return nil
}

func (s *initScript) mkdir(args []argument) (fate, error) {
	options, rest, err := split(args, "m")
	if err != nil {
		return kept, err
	}
	files, err := s.files(rest)
	switch {
	case err != nil:
		return kept, err
	case len(files) == 0:
		return kept, errors.New("it names no directory")
	}
	parents := slices.ContainsFunc(options, func(o string) bool {
		return o == "--parents" || !strings.HasPrefix(o, "--") && strings.Contains(o, "p")
	})
	if all(files, s.agents) {
		return dropped, nil
	}
	for i, o := range options {
		mode := i > 0 && strings.HasSuffix(options[i-1], "m")
		if err := s.must(mode || short([]string{o}, "pm", "--parents"), "the option %s is not known to work in the new image", o); err != nil {
			return kept, err
		}
	}
	for _, f := range files {
		if !s.mounted(f) {
			return kept, fmt.Errorf("%s is on no volume", f)
		}
		if !parents && !s.there(path.Dir(f)) {
			return kept, fmt.Errorf("%s may not be there in the new container", path.Dir(f))
		}
		for dir := f; s.mounted(dir) && dir != "/"; dir = path.Dir(dir) {
			s.made = append(s.made, dir)
		}
	}
	s.serves("mkdir", files...)
	return kept, s.stays(rest)
}

func all(files []string, is func(string) bool) bool {
	return len(files) > 0 && !slices.ContainsFunc(files, func(f string) bool { return !is(f) })
}

// transfer judges a cp or mv that is not the agent's own.
func (s *initScript) transfer(program string, args []argument) (fate, error) {
	options, rest, err := split(args, "")
	if err != nil {
		return kept, err
	}
	if slices.ContainsFunc(options, targetFlag) {
		return kept, errors.New("its options turn source and target round")
	}
	files, err := s.files(rest)
	if err != nil {
		return kept, err
	}
	if len(files) < 2 {
		return kept, errors.New("it has no plain source and target")
	}
	from, to := files[:len(files)-1], files[len(files)-1]
	if s.agents(to) && to != s.home && (program == "cp" || all(from, func(f string) bool { return s.agents(f) || !s.mounted(f) })) {
		if err := s.adds(rest[:len(rest)-1], from, to); err != nil {
			return kept, err
		}
		s.changes(program, to)
		return dropped, nil
	}
	if slices.ContainsFunc(from, func(f string) bool { return !s.mounted(f) }) {
		return kept, fmt.Errorf("it copies %s, which the new image does not have", strings.Join(from, " "))
	}
	if slices.ContainsFunc(from, func(f string) bool {
		return f == s.home || within(f, s.home) || within(s.home, f) || strings.ContainsAny(f, "*?[")
	}) {
		return kept, fmt.Errorf("it copies %s, where the old agent is", strings.Join(from, " "))
	}
	if !s.mounted(to) || !s.there(to) && !s.there(path.Dir(to)) {
		return kept, fmt.Errorf("%s may not be there in the new container", to)
	}
	if err := s.must(short(options, "aRrdpf", "--recursive", "--archive", "--force"), "an option is not known to work in the new image"); err != nil {
		return kept, err
	}
	s.serves(program, append(from, to)...)
	return kept, s.stays(rest)
}

var (
	numeric = regexp.MustCompile(`^(\d+|root)?([:.](\d+|root))?$`)
	octal   = regexp.MustCompile(`^([0-7]{1,4}|[ugoa]*[-+=][rwxX]*(,[ugoa]*[-+=][rwxX]*)*)$`)
)

// mode judges chmod, chown and chgrp.
func (s *initScript) mode(program string, args []argument) (fate, error) {
	var options []string
	for len(args) > 0 && args[0].known && len(args[0].text) > 1 && args[0].text[0] == '-' && !octal.MatchString(args[0].text) {
		options, args = append(options, args[0].text), args[1:]
	}
	if len(args) < 2 {
		return kept, errors.New("it names no file")
	}
	files, err := s.files(args[1:])
	if err != nil {
		return kept, err
	}
	if all(files, s.agents) {
		return dropped, nil
	}
	for _, f := range files {
		if !s.there(f) {
			return kept, fmt.Errorf("%s may not be there in the new container", f)
		}
	}
	who := args[0]
	fits := who.known && (program == "chmod" && octal.MatchString(who.text) || program != "chmod" && numeric.MatchString(who.text))
	if err := s.must(fits, "%s may mean nothing in the new image", who.text); err != nil {
		return kept, err
	}
	if err := s.must(short(options, "Rf", "--recursive"), "an option is not known to work in the new image"); err != nil {
		return kept, err
	}
	s.serves(program, files...)
	return kept, s.stays(args[1:])
}

// serving judges programs that stay only without anything of the agent's, and
// go when all they touch is the agent's.
func (s *initScript) serving(program string, args []argument) (fate, error) {
	switch program {
	case "test", "[":
		for _, a := range args {
			if f, ok := s.file(a); ok && (s.agents(f) || f == s.home) {
				return question, nil
			}
		}
		return kept, errors.New("what it asks is not about the old agent")
	case "ls":
		if len(args) == 0 {
			return remark, s.must(!s.lost, "it lists a directory that is gone")
		}
	}
	valued := map[string]string{"sed": "e", "touch": "dtr"}[program]
	options, rest, err := split(args, valued)
	if err != nil {
		return kept, err
	}
	if program == "sed" && !slices.ContainsFunc(options, func(o string) bool { return strings.HasSuffix(o, "e") || strings.HasPrefix(o, "--expression") }) && len(rest) > 0 {
		rest = rest[1:] // the script
	}
	files, err := s.files(rest)
	if err != nil {
		return kept, err
	}
	switch {
	case all(files, s.agents):
		if program == "sed" || program == "ln" || program == "rm" {
			s.changes(program, files[len(files)-1])
		}
		return dropped, nil
	case program == "ls" && all(files, s.there):
		return remark, s.must(short(options, "1aAlRhtrSi") && s.stays(rest) == nil, "an option or path is not known to work in the new image")
	case len(files) == 0:
		return kept, errors.New("it names no file")
	}
	return kept, fmt.Errorf("%s is not the old agent's alone", strings.Join(files, " "))
}

// writes judges a command whose output goes to files.
func (s *initScript) writes(program string, args []argument, outputs []string) (fate, error) {
	switch program {
	case "echo", "printf", "true", ":", "date", "cat":
	default:
		return kept, fmt.Errorf("it writes %s", strings.Join(outputs, " "))
	}
	if all(outputs, s.agents) {
		for _, o := range outputs {
			s.changes(program, o)
		}
		return dropped, nil
	}
	for _, o := range outputs {
		if program == "cat" || s.agents(o) || !s.mounted(o) || !s.there(path.Dir(o)) {
			return kept, fmt.Errorf("it writes %s", o)
		}
	}
	if slices.ContainsFunc(args, func(a argument) bool { return a.glob }) {
		return kept, errors.New("what it writes depends on the files that are there")
	}
	if s.lost {
		return kept, errors.New("the directory that it runs in is gone")
	}
	s.serves(program, outputs...)
	return kept, nil
}

// changes notes what a dropped command did to the agent.
func (s *initScript) changes(program, file string) {
	rest := strings.TrimPrefix(strings.TrimPrefix(file, s.home), "/")
	first, _, _ := strings.Cut(rest, "/")
	what := program + " " + file
	switch {
	case first == "ca":
		s.trusted = true
	case first == "config" || rest == "" && program != "rm" || strings.ContainsAny(first, "*?["):
		if program != "rm" {
			s.settings = append(s.settings, what)
		}
	}
}

// adds notes the plugins that a copy adds to the agent's; those that are not
// its own are somebody's work, which must not go silently.
func (s *initScript) adds(words []argument, from []string, to string) error {
	first, _, _ := strings.Cut(strings.TrimPrefix(to, strings.TrimSuffix(s.home, "/")+"/"), "/")
	if first == "config" || first == "ca" || first == "logs" {
		return nil
	}
	for i, f := range from {
		if !s.agents(f) && f != s.from && !within(f, s.from) {
			return fmt.Errorf("it adds %s to the agent", words[i].text)
		}
		if name, isJar := strings.CutSuffix(path.Base(f), ".jar"); isJar && !slices.Contains(s.plugins, name) {
			s.plugins = append(s.plugins, name)
		}
	}
	return nil
}
