package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// fromFiles adds what is known of files in the container's image: the argument
// files that its command names, and the agent's own configuration where no full
// preflight has read it. It returns the path of that; empty: it is not in the
// image. jar is the agent's; served says that an init container brings it.
func (m *maker) fromFiles(c fleet.Container, in *javaagent.Input, jar string, served bool) (config string) {
	config = configFile(c, *in, jar, served)
	files := m.in.Files[c.Image.Text]
	for _, file := range ownFiles(c, *in) {
		if f := files[file]; f.Found {
			in.Files = append(in.Files, javaagent.File{Path: file, Text: f.Text, Fixed: true})
		}
	}
	if f := files[config]; config != "" && f.Found && in.AgentConfig == "" {
		in.AgentConfig = f.Text
	}
	return config
}

// ownFiles are the argument files that only the image can hold.
func ownFiles(c fleet.Container, in javaagent.Input) []string {
	return slices.DeleteFunc(javaagent.ArgumentFiles(in), func(file string) bool {
		known := slices.ContainsFunc(in.Files, func(f javaagent.File) bool { return f.Path == file })
		return known || !path.IsAbs(file) || mountedFile(c, file)
	})
}

// mountedFile reports a file that a volume brings.
func mountedFile(c fleet.Container, file string) bool {
	return slices.ContainsFunc(c.Mounts, func(mount fleet.Mount) bool { return path.Clean(mount.Path) == file || within(file, mount.Path) })
}

// configFile is the file of the image that configures the agent: the one that
// an option names, else the one beside the jar.
func configFile(c fleet.Container, in javaagent.Input, jar string, served bool) string {
	config, _ := javaagent.Effective(in)
	file := config.File
	if file == "" && jar != "" && !served && in.Unread == "" {
		file = path.Join(path.Dir(jar), "config/agent.config")
	}
	if !c.Image.Set() || !path.IsAbs(file) || strings.Contains(file, "$") || mountedFile(c, file) {
		return ""
	}
	return path.Clean(file)
}

// wants notes the files of the image that have to be read before the container's
// options are known, and says what is not known without them: the service's
// name, and what stands in a file that an option or the command names.
func (m *maker) wants(d *draft, c fleet.Container, in javaagent.Input, out javaagent.Output, config string) {
	_, named := out.Config.Get("agent.service_name")
	named = named || in.Target.ServiceName == "workload" || in.Target.ServiceName == "label"
	paths := ownFiles(c, in)
	if config != "" && in.AgentConfig == "" && (!named || out.Config.File != "") {
		paths = append(paths, config)
	}
	ref := c.Image.Text
	for _, file := range paths {
		f, asked := m.in.Files[ref][file]
		why := f.Unread
		switch {
		case asked && why == "" && out.Block != nil && out.Block.Code == javaagent.CodeConfigFile:
			d.block(fleet.CodeConfigFile, c.Image.Place, fmt.Sprintf("the options are in %s, which image %s has not, and no service name is set elsewhere", file, ref))
		case asked && why == "", !asked && file == config && m.in.Inspected[ref].Contents != nil: // it is not there
		case m.in.Failed[ref] != nil:
			d.block(fleet.CodeImageUnread, c.Image.Place, fmt.Sprintf("%s of image %s may set SkyWalking's service name, and it cannot be read: %v", file, ref, m.in.Failed[ref]))
		case !asked:
			why = "the registry was not asked"
			if d.plan.Wanted == nil {
				d.plan.Wanted = map[string][]string{}
			}
			d.plan.Wanted[ref] = append(d.plan.Wanted[ref], file)
		}
		if why != "" && out.Block == nil && file == config {
			d.warn(fleet.CodePreflight, c.Image.Place, fmt.Sprintf("%s of image %s was not read (%s): it may set options, SkyWalking's service name among them; the name is now %s",
				file, ref, why, out.ServiceName))
		}
	}
}

// WantedFiles are the files of images that the plan would be better for, by
// reference: the members' where they are given, and those of workloads that are
// blocked for want of them.
func WantedFiles(in Input, p fleet.Plan, members []fleet.Planned, blocked bool) map[string][]string {
	if in.Offline || in.Config.Spec.Image.Inspect == "none" {
		return nil
	}
	want := map[string][]string{}
	note := func(planned fleet.Planned) {
		for ref, paths := range planned.Wanted {
			for _, file := range paths {
				if _, asked := in.Files[ref][file]; !asked && in.Failed[ref] == nil && !slices.Contains(want[ref], file) {
					want[ref] = append(want[ref], file)
				}
			}
		}
	}
	for _, planned := range members {
		note(planned)
	}
	for _, planned := range p.Workloads {
		if blocked && planned.Action == fleet.ActionBlocked && planned.Reason != nil && planned.Reason.Code == fleet.CodeConfigFile {
			note(planned)
		}
	}
	for _, paths := range want {
		slices.Sort(paths)
	}
	return want
}
