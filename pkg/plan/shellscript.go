package plan

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// scriptWords is the command that a mounted script stands for.
func scriptWords(text string) []string { return []string{"sh", "-c", text} }

// takeScript has a mounted file read by whom it is read by: a shell, or the java
// launcher.
func takeScript(in *javaagent.Input, l fleet.Load) {
	if l.Argfile != "" {
		in.Dialect, in.File, in.Text = javaagent.DialectArgfile, l.Argfile, l.Value.Text
		return
	}
	in.Args = scriptWords(l.Value.Text)
}

// argfiles are the container's argument files as javaagent takes them.
func argfiles(c fleet.Container) []javaagent.File {
	var files []javaagent.File
	for _, f := range c.Argfiles {
		files = append(files, javaagent.File{Path: f.Path, Text: f.Value.Text})
	}
	return files
}

// editScript edits a script that a ConfigMap holds.
func (d *draft) editScript(l fleet.Load, edits []javaagent.Edit) {
	for _, e := range edits {
		if e.Start != 2 || e.End != 3 || strings.Contains(e.New, "\x00") {
			d.block(fleet.CodeScript, l.Place, fmt.Sprintf("the options of the script %s are not understood", l.Name))
			return
		}
		d.change(fleet.OpReplace, l.Value, e.New)
	}
}

// scripts are the indices of Input.Args that a shell reads.
func scripts(c fleet.Container, l fleet.Load) []int {
	switch l.Via {
	case fleet.ViaScript:
		if l.Argfile == "" {
			return []int{2}
		}
	case fleet.ViaArgs:
		var out []int
		for i, dialect := range kyamlfn.WordDialects(c.Command, c.Args) {
			if dialect == javaagent.DialectShell {
				out = append(out, i)
			}
		}
		return out
	case fleet.ViaEnv, fleet.ViaInitContainer, fleet.ViaConfigMap, fleet.ViaValues, fleet.ViaImage, fleet.ViaSWCK, fleet.ViaOperator:
	}
	return nil
}

// translate translates options that scripts hold too. A script often puts them
// together piece by piece (OPTS="$OPTS -D…"); what stands apart from the flag is
// brought beside it first, so that it counts.
func translate(in javaagent.Input, scripts []int) (javaagent.Output, error) {
	out, err := javaagent.Translate(in)
	if err != nil || out.Block != nil {
		return out, err
	}
	args := append([]string(nil), in.Args...)
	gathered := false
	for _, i := range scripts {
		for _, e := range out.Edits {
			if e.Start != i || e.End != i+1 {
				continue
			}
			for _, option := range oldOptions(e.New) {
				if text, ok := beside(args[i], option); ok {
					args[i], gathered = text, true
				}
			}
		}
	}
	if !gathered {
		return out, nil
	}
	in.Args = args
	return javaagent.Translate(in)
}

// oldOption is an option of SkyWalking's as a script has it.
var oldOption = regexp.MustCompile(`[ \t]+(-D(?:skywalking[._]|SW_)[\w.\[\]-]*=?[^\s"'\x60;&|]*)([\s"']|$)`)

// oldOptions are SkyWalking's options outside of comments.
func oldOptions(script string) []string {
	var out []string
	for line := range strings.Lines(script) {
		for !strings.HasPrefix(strings.TrimSpace(line), "#") {
			m := oldOption.FindStringSubmatchIndex(line)
			if m == nil {
				break
			}
			out = append(out, line[m[2]:m[3]])
			line = line[m[3]:]
		}
	}
	return out
}

// beside moves an option behind SkyWalking's flag.
func beside(script, option string) (string, bool) {
	var b strings.Builder
	taken := false
	for line := range strings.Lines(script) {
		if !taken && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			for _, m := range oldOption.FindAllStringSubmatchIndex(line, -1) {
				if line[m[2]:m[3]] == option {
					line, taken = line[:m[0]]+line[m[3]:], true
					break
				}
			}
		}
		b.WriteString(line)
	}
	script = b.String()
	for _, flag := range javaagent.Agents(script, javaagent.DialectShell) {
		if flag.Kind != javaagent.SkyWalking {
			continue
		}
		raw := "-javaagent:" + flag.Jar
		if i := strings.Index(script, raw); i >= 0 && flag.Options == "" && taken {
			return script[:i+len(raw)] + " " + option + script[i+len(raw):], true
		}
	}
	return "", false
}
