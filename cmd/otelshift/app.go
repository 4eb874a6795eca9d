package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/config"
)

const program = "otelshift"

// defaultConfigFile is read where --config is not given, and may be absent.
const defaultConfigFile = "otelshift.yaml"

const appHelp = `{{.Usage}}

Usage: {{.HelpName}} COMMAND [flags]

Try:
  otelshift plan --dir .     what would change in this checkout; writes nothing
  otelshift demo             the whole journey on this machine, offline

Commands:{{range .VisibleCommands}}
  {{printf "%-12s" .Name}} {{.Usage}}{{end}}

Flags of every command:{{range .VisibleFlags}}
  {{.}}{{end}}

"otelshift help COMMAND" says more about one command.
`

const commandHelp = `{{.Usage}}

Usage: {{.HelpName}}{{if .VisibleFlags}} [flags]{{end}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}
{{if .Description}}
{{.Description}}
{{end}}
Flags:{{range .VisibleFlags}}
  {{.}}{{end}}

"otelshift help" lists the flags that every command takes.
`

const groupHelp = `{{.Usage}}

Usage: {{.HelpName}} COMMAND [flags]
{{if .Description}}
{{.Description}}
{{end}}
Commands:{{range .VisibleCommands}}
  {{printf "%-12s" .Name}} {{.Usage}}{{end}}

"otelshift help" lists the flags that every command takes.
`

// newApp builds the command line of urfave/cli. It gets its arguments from
// arrange, so that unknown flags and leftovers never reach it, and it never
// ends the process: run does.
func newApp(e *env) *cli.App {
	app := &cli.App{
		Name:      program,
		HelpName:  program,
		Usage:     "Move Java workloads from the SkyWalking agent to the OpenTelemetry agent through pull requests.",
		Version:   "", // a command of its own
		Writer:    e.Stdout,
		ErrWriter: e.Stderr,
		Reader:    e.Stdin,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "configuration `FILE` (default " + defaultConfigFile + ")"},
			choiceFlag("log-format", "", "how to log to stderr", logText, logJSON, logGitHub),
			choiceFlag("log-level", "", "least level to log", "info", "debug", "warn", "error"),
			&cli.BoolFlag{Name: "no-progress", Usage: "draw no progress on a terminal"},
		},
		Commands:                  commands(e),
		HideHelpCommand:           true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		CustomAppHelpTemplate:     appHelp,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              onUsageError,
		Before:                    func(c *cli.Context) error { return e.apply(c) },
	}
	for _, command := range app.Commands {
		prepare(command)
	}
	return app
}

// prepare sets what every command has in common.
func prepare(command *cli.Command) {
	command.HideHelpCommand = true
	command.OnUsageError = onUsageError
	command.CustomHelpTemplate = commandHelp
	if len(command.Subcommands) > 0 {
		command.CustomHelpTemplate = groupHelp
	}
	for _, sub := range command.Subcommands {
		prepare(sub)
	}
}

// onUsageError is reached for values that a flag's type refuses.
func onUsageError(c *cli.Context, err error, _ bool) error {
	text := strings.NewReplacer("for flag -", "for flag --", "for -", "for flag --").Replace(err.Error())
	what, cause, _ := strings.Cut(text, ": ")
	_, name, _ := strings.Cut(what, "for flag --")
	var flag cli.Flag
	if c != nil && c.Command != nil {
		flag = named(c.Command.Flags, name)
	}
	switch flag.(type) {
	case *cli.DurationFlag:
		return usageError("for example --"+name+" 90s, 30m or 1h30m", "%s: not a time with its unit", what)
	case *cli.IntFlag:
		return usageError("for example --"+name+" 2", "%s: not a whole number", what)
	case *cli.BoolFlag:
		return usageError("write --"+name+" alone, or --"+name+"=false", "%s: neither true nor false", what)
	}
	return usageError("", "%s: %s", what, cause)
}

// apply takes over the global flags.
func (e *env) apply(c *cli.Context) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		list, hint := oneOf(c.String("log-level"), []string{"debug", "info", "warn", "error"})
		return usageError(hint, "flag --log-level: %q is not one of %s", c.String("log-level"), list)
	}
	e.configFile = c.String("config")
	e.logFormat = c.String("log-format")
	e.log = slog.New(newLogHandler(e.Stderr, e.logFormat, level))
	e.progress = e.Terminal && !c.Bool("no-progress")
	return nil
}

// arrange checks a command line against the tree of commands and returns it in
// the one order that urfave/cli reads fully: program, global flags, command,
// its flags, "--", arguments. Without it a flag behind an argument would be
// ignored in silence, and so would leftover arguments. It also returns the
// command's names.
func arrange(app *cli.App, args []string) (arranged, command []string, err error) {
	line := commandLine{app: app}
	rest := args[1:]
	if len(rest) > 0 && rest[0] == "help" {
		rest, line.help = rest[1:], true
	}
	if len(rest) == 1 && rest[0] == "--version" {
		rest = []string{"version"}
	}
	for len(rest) > 0 {
		word := rest[0]
		rest = rest[1:]
		switch {
		case word == "--":
			line.arguments = append(line.arguments, rest...)
			rest = nil
		case len(word) > 1 && word[0] == '-':
			rest, err = line.flag(word, rest)
		default:
			err = line.word(word)
		}
		if err != nil {
			return nil, line.path, err
		}
	}
	arranged, err = line.arranged(args[0])
	return arranged, line.path, err
}

// commandLine is a command line as far as it has been read.
type commandLine struct {
	app       *cli.App
	command   *cli.Command // nil before the command's name
	path      []string     // names of the command
	global    []string     // flags, "--name=value"
	own       []string     // the same, of the command
	arguments []string
	help      bool
}

func (l *commandLine) subcommands() []*cli.Command {
	if l.command == nil {
		return l.app.Commands
	}
	return l.command.Subcommands
}

func (l *commandLine) word(word string) error {
	subs := l.subcommands()
	if len(subs) == 0 {
		l.arguments = append(l.arguments, word)
		return nil
	}
	var names []string
	for _, sub := range subs {
		if sub.HasName(word) {
			l.command, l.path = sub, append(l.path, sub.Name)
			return nil
		}
		names = append(names, sub.Names()...)
	}
	hint := fmt.Sprintf("run %q for the list", strings.Join(append([]string{program, "help"}, l.path...), " "))
	if near := config.Nearest(word, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", strings.Join(append(append([]string{program}, l.path...), near), " "))
	}
	return usageError(hint, "unknown command %q", strings.Join(append(l.path, word), " "))
}

// flag reads one flag and returns the words behind it and its value.
func (l *commandLine) flag(word string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if name == "help" || name == "h" {
		l.help = true
		return rest, nil
	}
	flag, global := l.lookup(name)
	if flag == nil {
		return nil, l.unknownFlag(word, name, rest)
	}
	if !hasValue {
		if _, isBool := flag.(*cli.BoolFlag); isBool {
			value = "true"
		} else {
			if len(rest) == 0 || l.isFlag(rest[0]) {
				return nil, usageError("", "flag --%s needs a value", flag.Names()[0])
			}
			value, rest = rest[0], rest[1:]
		}
	}
	normal := "--" + flag.Names()[0] + "=" + value
	if global {
		l.global = append(l.global, normal)
	} else {
		l.own = append(l.own, normal)
	}
	return rest, nil
}

// lookup finds a flag of the command, or a global one.
func (l *commandLine) lookup(name string) (flag cli.Flag, global bool) {
	if l.command != nil {
		if f := named(l.command.Flags, name); f != nil {
			return f, false
		}
	}
	return named(l.app.Flags, name), true
}

// isFlag tells a forgotten value from a value that starts with a dash.
func (l *commandLine) isFlag(word string) bool {
	if len(word) < 2 || word[0] != '-' {
		return false
	}
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	flag, _ := l.lookup(name)
	return flag != nil || word == "--"
}

func (l *commandLine) unknownFlag(word, name string, rest []string) error {
	word, _, _ = strings.Cut(word, "=")
	if l.command == nil {
		for _, c := range meantFirst(l.app.Commands, rest) {
			if named(c.Flags, name) != nil {
				return usageError(fmt.Sprintf("put it behind the command, for example: %s %s %s", program, c.Name, word),
					"flag %s belongs to a command", word)
			}
		}
	}
	known := names(l.app.Flags)
	if l.command != nil {
		known = append(known, names(l.command.Flags)...)
	}
	hint := fmt.Sprintf("run %q for the list", strings.Join(append([]string{program, "help"}, l.path...), " "))
	if near := config.Nearest(name, known); near != "" && len(name) > 1 {
		hint = fmt.Sprintf("did you mean --%s?", near)
	}
	of := strings.Join(append([]string{program}, l.path...), " ")
	return usageError(hint, "unknown flag %s of %q", word, of)
}

// meantFirst puts the command that the line names in front.
func meantFirst(commands []*cli.Command, rest []string) []*cli.Command {
	for i, word := range rest {
		for _, c := range commands {
			if i < 2 && c.HasName(word) {
				return append([]*cli.Command{c}, commands...)
			}
		}
	}
	return commands
}

// arranged checks the arguments and writes the line down in order.
func (l *commandLine) arranged(name string) ([]string, error) {
	out := append([]string{name}, l.global...)
	out = append(out, l.path...)
	if l.help {
		return append(out, "--help"), nil
	}
	if l.command == nil {
		return nil, usageError(fmt.Sprintf("run %q for the list, or try %q", program+" help", program+" plan --dir ."), "no command given")
	}
	if subs := l.subcommands(); len(subs) > 0 {
		var names []string
		for _, sub := range subs {
			names = append(names, sub.Name)
		}
		return nil, usageError("", "%q needs a command: %s", strings.Join(append([]string{program}, l.path...), " "), strings.Join(names, ", "))
	}
	if err := checkArguments(l.command, l.path, l.arguments); err != nil {
		return nil, err
	}
	out = append(out, l.own...)
	if len(l.arguments) > 0 {
		out = append(append(out, "--"), l.arguments...)
	}
	return out, nil
}

// checkArguments holds the arguments against ArgsUsage.
func checkArguments(command *cli.Command, path, arguments []string) error {
	help := program + " help " + strings.Join(path, " ")
	wanted := strings.Fields(command.ArgsUsage)
	least, most := 0, len(wanted)
	for _, w := range wanted {
		if !strings.HasPrefix(w, "[") {
			least++
		}
		if strings.Contains(w, "...") {
			most = max(most, len(arguments))
		}
	}
	switch {
	case len(arguments) < least:
		return usageError(fmt.Sprintf("run %q for what it takes", help), "missing argument %s", wanted[len(arguments)])
	case len(arguments) > most:
		return usageError(fmt.Sprintf("run %q for what it takes", help), "unexpected argument %q", arguments[most])
	}
	return nil
}

func named(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				return f
			}
		}
	}
	return nil
}

func names(flags []cli.Flag) []string {
	var all []string
	for _, f := range flags {
		all = append(all, f.Names()...)
	}
	return all
}
