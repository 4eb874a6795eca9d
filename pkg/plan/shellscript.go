package plan

import (
	"fmt"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
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
