// Package layer reads and writes the tar streams of image layers: what a stack
// of layers says about a path (Listing, View), the one layer that a rebuilt
// image gets (Spec), and archives that agents come in (ReadArchive). It knows
// no registry and extracts nothing to disk.
//
// Paths inside this package have no leading slash, no "." and no "..", and "/"
// as separator: "home/admin". The root is the empty path.
//
// Source for whiteouts: OCI image-spec v1.1, layer.md, "Representing Changes".
package layer
