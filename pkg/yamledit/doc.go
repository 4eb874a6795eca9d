// Package yamledit changes YAML files byte for byte. It finds a value by its
// path, splices new text in at the value's own place and in its own style, and
// proves the result: the file is parsed again, the tree must equal the old one
// with only the intended values changed, and undoing the edit must give back
// the very bytes. What cannot be proved is refused with a reason.
//
// A removed entry takes along the comment at the end of its line and the comment
// lines that are clearly its own: directly above it, indented as it is. Kept
// are the lines above a collection's first entry, which are the collection's
// header; those that hold a commented-out entry or draw a line; and those with
// a blank line above and another entry directly below the removed one, which
// are a section's header. Of two blank lines that would meet one stays.
//
// It never marshals a document, never re-wraps or re-indents what is there,
// and never touches a line that no edit names. It does no I/O.
//
//	f, err := yamledit.Parse("cart.yaml", data, yamledit.Limits{})
//	path, err := yamledit.ParsePath("spec.template.spec.containers[name=cart].image")
//	res, err := f.Apply([]yamledit.Edit{{Path: path, Op: yamledit.Replace, Old: "reg/cart:1", New: "reg/cart:2"}})
//	back, err := yamledit.Parse("cart.yaml", res.Bytes, yamledit.Limits{})
//	undone, err := back.Apply(res.Inverse) // undone.Bytes equals data
package yamledit
