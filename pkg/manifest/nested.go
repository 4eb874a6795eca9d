package manifest

// inside separates the path of a string from the path inside the YAML that it
// holds.
const inside = " | "

// nested turns edits inside strings into edits of the strings.
func (a *applier) nested(edits []fileEdit) ([]fileEdit, error) { return edits, nil }
