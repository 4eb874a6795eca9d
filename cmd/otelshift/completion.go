package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func completionCommand(e *env) *cli.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cli.Command{
		Name:      "completion",
		Usage:     "Print a completion script for bash, zsh or fish.",
		ArgsUsage: strings.Join(shells, "|"),
		Description: `Examples:
  source <(otelshift completion bash)
  otelshift completion fish > ~/.config/fish/completions/otelshift.fish
  otelshift completion zsh > "${fpath[1]}/_otelshift"`,
		Action: func(c *cli.Context) error {
			tree := completions(c.App)
			switch shell := c.Args().First(); shell {
			case "bash":
				return e.printf("%s", bashCompletion(tree))
			case "zsh":
				return e.printf("%s", zshCompletion(tree))
			case "fish":
				return e.printf("%s", fishCompletion(tree))
			default:
				return usageError("the shells are bash, zsh and fish", "no completion for %q", shell)
			}
		},
	}
}

// completable is one command with what may follow it.
type completable struct {
	path  string // "config validate"; "" for the program itself
	usage string
	next  []completion // commands, or fixed arguments
	flags []completion
}

// completion is one word with its meaning; values are what may follow a flag.
type completion struct {
	word, usage string
	values      []string
	takesValue  bool
}

// completions lists the program and every command below it, parents first.
func completions(app *cli.App) []completable {
	global := flagCompletions(app.Flags)
	root := completable{flags: global}
	for _, c := range app.Commands {
		root.next = append(root.next, completion{word: c.Name, usage: c.Usage})
	}
	root.next = append(root.next, completion{word: "help", usage: "Say more about one command."})
	all := []completable{root}
	var walk func(commands []*cli.Command, path string)
	walk = func(commands []*cli.Command, path string) {
		for _, c := range commands {
			at := strings.TrimSpace(path + " " + c.Name)
			item := completable{path: at, usage: c.Usage, flags: append(flagCompletions(c.Flags), global...)}
			for _, sub := range c.Subcommands {
				item.next = append(item.next, completion{word: sub.Name, usage: sub.Usage})
			}
			if strings.Contains(c.ArgsUsage, "|") {
				for _, word := range strings.Split(strings.Trim(c.ArgsUsage, "[]."), "|") {
					item.next = append(item.next, completion{word: word})
				}
			}
			all = append(all, item)
			walk(c.Subcommands, at)
		}
	}
	walk(app.Commands, "")
	return all
}

func flagCompletions(flags []cli.Flag) []completion {
	var all []completion
	for _, f := range flags {
		if f.Names()[0] == "help" {
			continue
		}
		c := completion{word: "--" + f.Names()[0]}
		if doc, ok := f.(cli.DocGenerationFlag); ok {
			c.usage, c.takesValue = strings.ReplaceAll(doc.GetUsage(), "`", ""), doc.TakesValue()
		}
		if one, ok := f.(choice); ok {
			c.values = one.values
		}
		all = append(all, c)
	}
	return all
}

func words(list []completion) string {
	var all []string
	for _, c := range list {
		all = append(all, c.word)
	}
	return strings.Join(all, " ")
}

func bashCompletion(tree []completable) string {
	var b strings.Builder
	b.WriteString(`# bash completion for otelshift
_otelshift() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path="" word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${path:+$path }${COMP_WORDS[i]}"
    case "$word" in
`)
	fmt.Fprintf(&b, "      %s) path=$word ;;\n", quotedPaths(tree))
	b.WriteString("    esac\n  done\n  case \"$path $prev\" in\n")
	for _, c := range tree {
		for _, f := range c.flags {
			switch {
			case len(f.values) > 0:
				fmt.Fprintf(&b, "    %q) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n", c.path+" "+f.word, strings.Join(f.values, " "))
			case f.takesValue:
				fmt.Fprintf(&b, "    %q) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", c.path+" "+f.word)
			}
		}
	}
	b.WriteString("  esac\n  case \"$path\" in\n")
	for _, c := range tree {
		fmt.Fprintf(&b, "    %q) if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W %q -- \"$cur\")); else COMPREPLY=($(compgen -W %q -- \"$cur\")); fi ;;\n",
			c.path, words(c.flags)+" --help", words(c.next))
	}
	b.WriteString("  esac\n}\ncomplete -o default -F _otelshift otelshift\n")
	return b.String()
}

func quotedPaths(tree []completable) string {
	var all []string
	for _, c := range tree {
		if c.path != "" {
			all = append(all, fmt.Sprintf("%q", c.path))
		}
	}
	return strings.Join(all, " | ")
}

func zshCompletion(tree []completable) string {
	var b strings.Builder
	b.WriteString(`#compdef otelshift
_otelshift() {
  local path_="" word i
  for ((i = 2; i < CURRENT; i++)); do
    word="${path_:+$path_ }${words[i]}"
    case "$word" in
`)
	fmt.Fprintf(&b, "      %s) path_=$word ;;\n", strings.ReplaceAll(quotedPaths(tree), " | ", "|"))
	b.WriteString("    esac\n  done\n  local -a options\n  case \"$path_ ${words[CURRENT-1]}\" in\n")
	for _, c := range tree {
		for _, f := range c.flags {
			switch {
			case len(f.values) > 0:
				fmt.Fprintf(&b, "    %q) compadd -- %s; return ;;\n", c.path+" "+f.word, strings.Join(f.values, " "))
			case f.takesValue:
				fmt.Fprintf(&b, "    %q) _files; return ;;\n", c.path+" "+f.word)
			}
		}
	}
	b.WriteString("  esac\n  case \"$path_\" in\n")
	for _, c := range tree {
		fmt.Fprintf(&b, "    %q) options=(", c.path)
		for _, o := range append(append([]completion(nil), c.next...), c.flags...) {
			fmt.Fprintf(&b, "\n      %s", shellQuote(strings.ReplaceAll(o.word, ":", `\:`)+":"+o.usage))
		}
		b.WriteString(") ;;\n")
	}
	b.WriteString("  esac\n  _describe otelshift options || _files\n}\nif [ \"$funcstack[1]\" = _otelshift ]; then _otelshift \"$@\"; else compdef _otelshift otelshift; fi\n")
	return b.String()
}

func fishCompletion(tree []completable) string {
	var b strings.Builder
	b.WriteString(`# fish completion for otelshift
function __otelshift_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l path
    for word in $words
        switch $word
            case '-*'
            case '*'
                set path $path $word
        end
    end
    test "$path" = "$argv"
end
complete -c otelshift -f
`)
	for _, c := range tree {
		condition := shellQuote("__otelshift_at " + c.path)
		for _, n := range c.next {
			fmt.Fprintf(&b, "complete -c otelshift -n %s -a %s -d %s\n", condition, n.word, shellQuote(n.usage))
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, "complete -c otelshift -n %s -l %s -d %s", condition, strings.TrimPrefix(f.word, "--"), shellQuote(f.usage))
			switch {
			case len(f.values) > 0:
				fmt.Fprintf(&b, " -x -a %s", shellQuote(strings.Join(f.values, " ")))
			case f.takesValue:
				b.WriteString(" -r -F")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// shellQuote wraps s in single quotes.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
