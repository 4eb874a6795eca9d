package migrate

import (
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/rollout"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// head compares the base branch's head with the workload's change, and returns
// the head's values by field. The workload is looked for by identity: its file
// may have moved.
func (m *Migration) head(w *world, rw fleet.RecordWorkload) (rollout.HeadState, map[string]string) {
	id, err := fleet.ParseID(rw.ID)
	if err != nil {
		return rollout.HeadUnknown, nil
	}
	file := declaredIn(w.scan.Workloads, id, rw.File)
	fields := make([]string, len(rw.Effects))
	for i, e := range rw.Effects {
		fields[i] = e.Field
	}
	texts := effective(w.scan.Workloads, id, file, fields)
	values, err := manifest.Values(w.checkout.Files, file, id, fields)
	switch {
	case err == nil:
	case texts != nil:
		// Kustomize gives it another name or namespace than its file does; what
		// the scan knows of it has to do.
	case errors.Is(err, fleet.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		return rollout.HeadChanged, nil
	default:
		return rollout.HeadUnknown, nil
	}
	merged := make(map[string]string, len(fields))
	for field, value := range values {
		merged[field] = value.Text
	}
	maps.Copy(merged, texts)
	return headState(rw.Effects, merged), merged
}

// effective are the values of a workload as it is deployed, by field: where a
// kustomization or chart decides one, that one. Nil where the scan does not
// know the workload.
func effective(workloads []fleet.Workload, id fleet.ID, file string, fields []string) map[string]string {
	bare := id
	bare.Cluster = ""
	i := slices.IndexFunc(workloads, func(f fleet.Workload) bool {
		return (f.ID == id || f.ID == bare) && f.Place.File == file
	})
	if i < 0 {
		return nil
	}
	texts := map[string]string{}
	add := func(values ...fleet.Value) {
		for _, v := range values {
			if v.Set() {
				texts[v.Field] = v.Text
			}
		}
	}
	for _, c := range workloads[i].Containers {
		add(c.Image)
		add(c.Command...)
		add(c.Args...)
		for _, e := range c.Env {
			add(e.Value)
		}
	}
	// What asks an operator for its agent may stand in a patch.
	for _, field := range fields {
		if value, set := podMetadata(workloads[i], field); set {
			texts[field] = value
		}
	}
	return texts
}

// podMetadata is an annotation or label of the pods as they are deployed, where
// the field is one.
func podMetadata(w fleet.Workload, field string) (value string, set bool) {
	path, err := yamledit.ParsePath(field)
	n := len(path)
	if err != nil || n < 4 || path[n-4].Key != "template" || path[n-3].Key != "metadata" || path[n-1].Kind != yamledit.StepKey {
		return "", false
	}
	switch path[n-2].Key {
	case "annotations":
		value, set = w.PodAnnotations[path[n-1].Key]
	case "labels":
		value, set = w.PodLabels[path[n-1].Key]
	}
	return value, set
}

// declaredIn is the file that declares the workload now; last is where it was.
// Plans tell declarations of one id apart by a cluster that manifests do not
// know: such a workload is where it was, or in the only file that declares it.
func declaredIn(workloads []fleet.Workload, id fleet.ID, last string) string {
	bare := id
	bare.Cluster = ""
	var files []string
	for _, f := range workloads {
		switch {
		case f.ID == id && (id.Cluster != "" || f.Place.File == last):
			return f.Place.File
		case f.ID == bare:
			files = append(files, f.Place.File)
		}
	}
	if len(files) == 0 || slices.Contains(files, last) || id.Cluster != "" && len(files) > 1 {
		return last
	}
	return files[0]
}
