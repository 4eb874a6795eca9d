// Package appset makes the Applications that an Argo CD ApplicationSet
// generates, as far as the repository alone tells: from lists, from folders and
// files of the repository, and from matrices and merges of these. What only a
// cluster or a server knows stays open: a stand-in takes its place, which
// Unknown tells apart. It reads an fs.FS and nothing else, and it keeps of every
// scalar where it is decided: in the template, or in an element or file whose
// parameter is the whole of it.
//
//	for _, app := range appset.Expand(files, source, object) {
//		name := app.Object // metadata and spec, as Argo CD would make them
//	}
package appset
