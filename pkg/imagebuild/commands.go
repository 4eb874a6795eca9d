package imagebuild

import (
	"path"
	"regexp"
	"strings"
)

// script is a file that an image's command may run or read: the first path
// that exists counts, as in PATH.
type script struct {
	paths    []string
	optional bool   // read where it is met, not looked for
	named    bool   // by its whole path, in a script
	variable string // that names it; empty: the command does
}

// scriptsOf finds what an entrypoint and a command name: programs, paths, names
// that end in .sh, and argument files of java. Tomcat's scripts read a
// setenv.sh beside them.
func scriptsOf(doc configDoc) []script {
	r := resolver{workdir: path.Join("/", doc.Config.WorkingDir)}
	for _, entry := range doc.Config.Env {
		switch name, value, _ := strings.Cut(entry, "="); name {
		case "PATH":
			r.search = strings.Split(value, ":")
		case "JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS":
			for word := range strings.FieldsSeq(value) {
				r.option(strings.Trim(word, `"'`), name == "JDK_JAVA_OPTIONS", name)
			}
		}
	}
	command := append(doc.Config.Entrypoint[:len(doc.Config.Entrypoint):len(doc.Config.Entrypoint)], doc.Config.Cmd...)
	var exec []string
	for i, arg := range command {
		if isShellScript(command, i) || strings.ContainsAny(arg, " \t\n") {
			for part := range strings.FieldsFuncSeq(arg, func(c rune) bool { return strings.ContainsRune("\n;&|(){}", c) }) {
				r.command(strings.FieldsFunc(part, func(c rune) bool { return strings.ContainsRune(" \t\"'", c) }))
			}
			continue
		}
		exec = append(exec, arg)
	}
	r.command(exec)
	return r.scripts
}

// moreScripts finds the scripts that a script of the image runs or reads: names
// that end in .sh, and what "." and "source" are given. Of a path that only the
// shell knows the last part is looked for beside the script.
func moreScripts(doc configDoc) func(text) []script {
	workdir := path.Join("/", doc.Config.WorkingDir)
	return func(t text) []script {
		if t.isProgram() || t.variable != "" {
			return nil
		}
		var scripts []script
		for line := range strings.Lines(string(t.content)) {
			if strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			line = strings.NewReplacer(`"`, "", "'", "").Replace(expansion.ReplaceAllString(line, "$$"))
			words := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" \t\r\n;&|(){}", c) })
			for i, word := range words {
				read := i > 0 && (words[i-1] == "." || words[i-1] == "source")
				if word = strings.TrimLeft(word, "<>"); !strings.HasSuffix(word, ".sh") && !read || strings.ContainsAny(path.Base(word), "$*?=") {
					continue
				}
				s := script{optional: true}
				switch beside := path.Join("/", path.Dir(t.path), path.Base(word)); {
				case strings.HasPrefix(word, "/"):
					s.paths, s.named = []string{path.Clean(word)}, true
				case strings.Contains(word, "$"):
					s.paths = []string{beside}
				default:
					s.paths = []string{path.Join(workdir, word), beside}
				}
				for i, p := range s.paths {
					s.paths[i] = strings.TrimPrefix(p, "/")
				}
				scripts = append(scripts, s)
			}
		}
		return scripts
	}
}

// expansion matches what only the shell knows: $(dirname "$0"), ${HOME}, `pwd`.
var expansion = regexp.MustCompile("\\$\\([^)]*\\)|\\$\\{[^}]*\\}|`[^`]*`")

// isShellScript reports that the item is what a shell is given to run: sh -c
// "…".
func isShellScript(command []string, i int) bool {
	return i >= 2 && strings.HasPrefix(command[i-1], "-") && strings.HasSuffix(command[i-1], "c")
}

// resolver gathers the scripts of a command.
type resolver struct {
	search  []string // PATH
	workdir string
	scripts []script
}

// command looks at one simple command, word by word. What follows java is
// java's, and none of it a script but argument files.
func (r *resolver) command(words []string) {
	program, java := true, false
	for i := 0; i < len(words); i++ {
		word, base := words[i], path.Base(words[i])
		switch {
		case java:
			r.option(word, true, "")
			continue
		case base == "java":
			java = true
			continue
		case program && word == "cd" && i+1 < len(words) && !strings.Contains(words[i+1], "$"):
			r.workdir = r.inside(words[i+1])
			return
		case program && isDull(base):
			return
		case program && leads(base):
			if operand(base) {
				i++
			}
			continue
		case strings.HasPrefix(word, "-") || strings.ContainsAny(word, "$*?=:@<>") || isNumber(word):
			continue
		}
		r.word(word, program)
		program = false
	}
}

// option adds the file that an option of java stands for: the launcher's
// @argfiles (java(1), "java Command-Line Argument Files"), or a file of JVM
// options.
func (r *resolver) option(word string, launcher bool, variable string) {
	file, ok := strings.CutPrefix(word, "-XX:VMOptionsFile=")
	if !ok && launcher {
		file, ok = strings.CutPrefix(word, "@")
	}
	if ok && file != "" && !strings.ContainsAny(file[:1], "@$") {
		r.add([]string{r.inside(file)}, variable)
	}
}

func isNumber(word string) bool { return strings.Trim(word, "0123456789") == "" }

// word adds a script by its name; program says that it is run, and so found by
// PATH whatever it is called.
func (r *resolver) word(word string, program bool) {
	switch {
	case strings.HasSuffix(word, ".jar") || strings.HasSuffix(word, ".war"):
		return
	case strings.Contains(word, "/"):
		r.add([]string{r.inside(word)}, "")
	case program || strings.HasSuffix(word, ".sh"):
		var paths []string
		for _, dir := range r.search {
			paths = append(paths, path.Join("/", dir, word))
		}
		if strings.HasSuffix(word, ".sh") { // sh looks there first
			paths = append(paths, r.inside(word))
		}
		if len(paths) > 0 {
			r.add(paths, "")
		}
	}
}

func (r *resolver) inside(p string) string {
	if strings.HasPrefix(p, "/") {
		return p
	}
	return path.Join(r.workdir, p)
}

func (r *resolver) add(paths []string, variable string) {
	s := script{variable: variable}
	for _, p := range paths {
		s.paths = append(s.paths, strings.TrimPrefix(path.Clean(p), "/"))
	}
	r.scripts = append(r.scripts, s)
	switch path.Base(paths[0]) {
	case "catalina.sh", "startup.sh":
		beside := script{optional: true}
		for _, p := range s.paths {
			beside.paths = append(beside.paths, path.Join(path.Dir(p), "setenv.sh"))
		}
		r.scripts = append(r.scripts, beside)
	}
}

// leads are programs and words of the shell that are given another program to
// run.
func leads(base string) bool {
	switch base {
	case "sh", "bash", "dash", "ash", "zsh", "busybox", "env", "tini", "tini-static", "dumb-init", "catatonit", "su", "sudo", "runuser",
		"setpriv", "nohup", "nice", "ionice", "numactl", "stdbuf", "time", "exec", "eval", "command", "source", ".",
		"if", "then", "else", "elif", "while", "until", "do", "!", "/":
		return true
	}
	return operand(base)
}

// operand reports that something else comes before that program: a user, a
// time, a root.
func operand(base string) bool {
	switch base {
	case "gosu", "su-exec", "timeout", "chroot", "taskset":
		return true
	}
	return false
}

// isDull are programs and words of the shell that run none of their arguments.
func isDull(base string) bool {
	switch base {
	case "cd", "export", "set", "unset", "umask", "ulimit", "trap", "wait", "echo", "printf", "test", "[", "[[", "true", "false", ":",
		"fi", "done", "for", "in", "case", "esac", "sleep", "mkdir", "cp", "mv", "rm", "ln", "ls", "cat", "chmod", "chown", "touch", "date", "hostname", "kill":
		return true
	}
	return false
}
