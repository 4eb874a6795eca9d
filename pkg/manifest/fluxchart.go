package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// fluxChart is the chart that a Flux HelmRelease deploys: its own template of
// one, or a HelmChart that it refers to.
type fluxChart struct {
	namespace, name string // of the HelmChart
	chart           string
	source          sourceRef
	valuesFiles     []string // that take the place of the chart's values.yaml
	ignoreMissing   bool
	place           fleet.Place
}

// readFluxChart reads the spec of a HelmChart. Flux docs, "Helm Charts": the older
// valuesFile comes before valuesFiles.
func readFluxChart(spec *yaml.Node, namespace string, at fleet.Place) fluxChart {
	out := fluxChart{
		chart: field(spec, "chart"), source: readSourceRef(child(spec, "sourceRef"), namespace), place: at,
		ignoreMissing: field(spec, "ignoreMissingValuesFiles") == "true",
	}
	if name := field(spec, "valuesFile"); name != "" {
		out.valuesFiles = append(out.valuesFiles, name)
	}
	if list := child(spec, "valuesFiles"); list != nil && list.Kind == yaml.SequenceNode {
		for _, item := range list.Content {
			out.valuesFiles = append(out.valuesFiles, resolve(item).Value)
		}
	}
	return out
}

// takesChart gives a HelmRelease its chart. That of a GitRepository is a path,
// whether of this repository is seen by its being there.
func (s *helmSource) takesChart(c fluxChart) {
	s.flux = c
	if c.source.kind == "GitRepository" {
		s.chart = path.Clean(strings.Trim(strings.TrimPrefix(c.chart, "./"), "/"))
		s.source = c.source
	}
}

// refersTo finds the HelmChart that a HelmRelease refers to.
func (x *index) refersTo(s *helmSource) {
	if s.chartRef.kind != "HelmChart" {
		return
	}
	var found []fluxChart
	for _, c := range x.fluxCharts {
		if c.name == s.chartRef.name && sameNamespace(c.namespace, s.chartRef.namespace) {
			found = append(found, c)
		}
	}
	if len(found) == 1 {
		s.takesChart(found[0])
		return
	}
	if len(found) > 1 && s.reason == nil {
		s.reason = &fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: found[0].place, Message: fmt.Sprintf(
			"the repository has more than one HelmChart %s, which HelmRelease %s refers to: which it is cannot be told", s.chartRef.name, s.name)}
	}
}

// valuesFiles lays the values files of a HelmRelease's chart in the place of its
// values.yaml, and names them. Those of a chart that is elsewhere stand there.
func (r *releaser) valuesFiles(rel *release, s helmSource) (names []string) {
	at := s.flux.place
	elsewhere := func(name string) {
		rel.unread = append(rel.unread, unread{layers: len(rel.layers), defaults: true, reason: fleet.Reason{
			Code: fleet.CodeUnsupportedForm, Place: at,
			Message: fmt.Sprintf("HelmRelease %s takes the values file %s of its chart, which is not in this repository: write image and flag into spec.values", s.name, name),
		}})
	}
	if rel.chart == "" {
		for _, name := range s.flux.valuesFiles {
			if s.flux.source.kind == "GitRepository" || path.Clean(name) != "values.yaml" { // the defaults of any chart
				elsewhere(name)
			}
		}
		return nil
	}
	for _, name := range s.flux.valuesFiles {
		file := strings.TrimPrefix(path.Clean("/"+name), "/")
		if rel.add(r, file) {
			names = append(names, file)
		} else if !s.flux.ignoreMissing && rel.reason == nil {
			rel.reason = &fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: at, Message: fmt.Sprintf(
				"HelmRelease %s takes the values file %s, which is not in the repository", s.name, name)}
		}
	}
	rel.without = len(s.flux.valuesFiles) > 0 && !slices.Contains(names, path.Join(rel.chart, "values.yaml"))
	return names
}

// shortened is the name of a release as Flux makes it where Helm takes none as
// long: its start, and a part of its hash.
func shortened(name string) string {
	const longest, hashed = 53, 12
	if len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:longest-hashed-1] + "-" + hex.EncodeToString(sum[:])[:hashed]
}
