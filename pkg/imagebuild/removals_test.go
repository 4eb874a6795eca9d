package imagebuild_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// TestACommandThatNamesWhatIsRemovedIsSaid: a manifest may have a command of
// its own, so it is no reason to refuse the image.
func TestACommandThatNamesWhatIsRemovedIsSaid(t *testing.T) {
	t.Parallel()
	jar := "-javaagent:" + oldAgent + "/skywalking-agent.jar"
	here := func(o *imagebuild.Options) { o.Directory = oldAgent }
	for _, row := range []struct {
		name            string
		entrypoint, cmd []string
		words           []fleet.WordEdit
		options         []func(*imagebuild.Options)
		want            string // in the warning; empty: none
	}{
		{name: "an entrypoint in it", entrypoint: []string{oldAgent + "/run.sh"}, options: []func(*imagebuild.Options){bare}, want: oldAgent + "/run.sh"},
		{name: "a shell's script", cmd: []string{"sh", "-c", "cd " + oldAgent + " && ./run.sh"}, options: []func(*imagebuild.Options){bare}, want: "cd " + oldAgent},
		{name: "a secret beside it", cmd: []string{"sh", "-c", oldAgent + "/run.sh --password=sesame"}, options: []func(*imagebuild.Options){bare}, want: oldAgent},
		{name: "the entrypoint is ours", entrypoint: []string{oldAgent + "/run.sh"}},
		{name: "another name", entrypoint: []string{oldAgent + "-2/run.sh"}, options: []func(*imagebuild.Options){bare}},
		{
			name: "the flag is edited", entrypoint: []string{"java", jar}, options: []func(*imagebuild.Options){bare},
			words: []fleet.WordEdit{{List: fleet.ListEntrypoint, Index: 1, Old: jar, New: []string{"-javaagent:/otel/" + imagebuild.AgentJar}}},
		},
		{
			name: "the flag is edited and the new agent takes the place", entrypoint: []string{"java", jar}, options: []func(*imagebuild.Options){bare, here},
			words: []fleet.WordEdit{{List: fleet.ListEntrypoint, Index: 1, Old: jar, New: []string{"-javaagent:" + oldAgent + "/" + imagebuild.AgentJar}}},
		},
		{name: "the new agent takes the place of what runs", entrypoint: []string{oldAgent + "/run.sh"}, options: []func(*imagebuild.Options){bare, here}, want: oldAgent + "/run.sh"},
	} {
		r := start(t, registry.Options{})
		spec := tomcat()
		spec.Entrypoint, spec.Cmd = row.entrypoint, row.cmd
		seed(t, r, "shop/cart:1.4", spec)
		built := build(t, newBuilder(t, row.options...), fleet.Rebuild{From: r.Ref("shop/cart:1.4"), Remove: []string{oldAgent}, Words: row.words})
		said := slices.DeleteFunc(built.Warnings, func(w fleet.Warning) bool { return !strings.Contains(w.Message, "command") })
		if len(said) > 0 != (row.want != "") || len(said) > 0 && (!strings.Contains(said[0].Message, row.want) || said[0].Code != fleet.CodeScript || strings.Contains(said[0].Message, "sesame")) {
			t.Errorf("%s: warnings %+v, want %q", row.name, said, row.want)
		}
	}
}
