package manifest

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// formats are the files that manifests or Helm values are made from by something
// that does not run here, by the end of their names. A flag in them is said.
//
//nolint:gochecknoglobals // lookup table
var formats = map[string]string{
	".gotmpl": "a template of helmfile's", ".tpl": "a template", ".tmpl": "a template", ".tftpl": "a template of Terraform's",
	".j2": "a Jinja template", ".jinja": "a Jinja template", ".jinja2": "a Jinja template", ".erb": "an ERB template",
	".jsonnet": "Jsonnet", ".libsonnet": "Jsonnet", ".cue": "CUE", ".dhall": "Dhall", ".k": "KCL", ".pkl": "Pkl", ".star": "Starlark",
	".tf": "Terraform", ".tfvars": "Terraform", ".hcl": "HCL", ".nix": "Nix",
}

// formatOf says in what a file is written that is not read as a manifest; empty:
// it is none of these. A chart's own templates are told with the chart.
func formatOf(name string) string {
	if lower := strings.ToLower(name); lower != name && !isYAML(name) && isYAML(lower) {
		return "YAML under the name of " + path.Ext(name)
	}
	if inTemplates(name) && path.Ext(name) == ".tpl" {
		return ""
	}
	if path.Base(name) == "Tiltfile" {
		return "Starlark"
	}
	return formats[path.Ext(name)]
}

// readFormats notes the flags in files that are written in something else than
// YAML.
func (s *scanner) readFormats(ctx context.Context) error {
	slices.Sort(s.index.formats)
	if fetcher, remote := s.files.(prefetcher); remote && len(s.index.formats) > 0 {
		if err := fetcher.Prefetch(ctx, s.index.formats); err != nil {
			return err
		}
	}
	var buffer []byte
	for _, name := range s.index.formats {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, grown, _, err := load(s.files, name, buffer, s.options.MaxFileSize)
		if err != nil {
			return err
		}
		if buffer = grown; !needled(data) {
			continue
		}
		line := 0
		for text := range strings.Lines(string(data)) {
			line++
			code := strings.TrimSpace(text)
			if i := commentStart([]byte(code)); i >= 0 {
				code = code[:i]
			}
			if strings.HasPrefix(code, "//") || !javaagent.NamesFlag(code) {
				continue
			}
			reason := fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: fleet.Place{File: name, Line: line}}
			if path.Ext(name) == ".gotmpl" {
				reason.Code = fleet.CodeHelmTemplate
			}
			reason.Message = fmt.Sprintf("holds SkyWalking's flag in %s, which is not edited: change it by hand", formatOf(name))
			s.index.foreignFlags = append(s.index.foreignFlags, fleet.FileReason{File: name, Line: line, Reason: reason})
		}
	}
	return nil
}

// unread are the flags in other formats that no workload's load stands for.
func (x *index) unread() []fleet.FileReason {
	return slices.DeleteFunc(slices.Clone(x.foreignFlags), func(f fleet.FileReason) bool {
		return slices.ContainsFunc(x.workloads, func(w fleet.Workload) bool {
			return slices.ContainsFunc(w.Loads, func(l fleet.Load) bool { return l.File == f.File && l.Line == f.Line })
		})
	})
}
