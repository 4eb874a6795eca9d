package manifest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// unreadable notes a file of which nothing can be read, if it speaks of
// SkyWalking.
func (f *facts) unreadable(data []byte, err error) {
	if utf16(data) {
		data = bytes.ReplaceAll(data, []byte{0}, nil)
	}
	line := markerLine(data)
	if line == 0 && !bytes.HasPrefix(data, []byte("\x00GITCRYPT")) {
		return
	}
	reason := fleet.Reason{Code: fleet.CodeUnparsable, Message: err.Error(), Place: fleet.Place{File: f.file}}
	var parse *yamledit.ParseError
	if errors.As(err, &parse) {
		reason.Code, reason.Message = fleet.Code(parse.Code), parse.Message
		reason.Line, reason.Column = parse.Line, parse.Column
	}
	f.reasons = append(f.reasons, fleet.FileReason{File: f.file, Reason: reason, Line: reason.Line})
}

// console reports a document that neither parses nor looks like a Kubernetes
// object or a template, and that is prose up to the place where it breaks:
// console output, say. What stands beside it in the file is not deployed as it
// stands there.
func console(data []byte, d yamledit.Document) bool {
	if d.Node != nil || d.Err == nil || d.Err.Code != yamledit.CodeUnparsable || d.Template {
		return false
	}
	text := data[d.Start:d.End]
	if lineStarts(text, "apiVersion:") && lineStarts(text, "kind:") {
		return false
	}
	before := 1 + bytes.Count(data[:d.Start], []byte("\n"))
	for line := range bytes.Lines(text) {
		if before > d.Err.Line {
			return false
		}
		before++
		if proseLine(bytes.TrimRight(line, " \t\r\n")) {
			return true
		}
	}
	return false
}

func lineStarts(text []byte, prefix string) bool {
	return bytes.HasPrefix(text, []byte(prefix)) || bytes.Contains(text, []byte("\n"+prefix))
}

// proseLine reports a line without indentation that is no entry of a mapping
// or list, bracket, quote or comment.
func proseLine(line []byte) bool {
	return len(line) > 0 && !bytes.HasPrefix(line, []byte("\xef\xbb\xbf")) && !entryLine.Match(line)
}

func (f *facts) consoleFile(data []byte, d yamledit.Document) {
	if markerLine(data) == 0 {
		return
	}
	reason := fleet.Reason{
		Code: fleet.CodeUnparsable, Message: "no Kubernetes manifest: " + d.Err.Message,
		Place: fleet.Place{File: f.file, Line: d.Err.Line, Column: d.Err.Column},
	}
	f.reasons = append(f.reasons, fleet.FileReason{File: f.file, Reason: reason, Line: reason.Line})
}

// brokenDocument notes a document that speaks of SkyWalking and is a template,
// broken or encrypted: each broken one, and one of a file for the others.
func (f *facts) brokenDocument(name string, data, text []byte, d yamledit.Document) {
	marker := markerLine(text)
	if marker == 0 {
		return // it may stand beside a workload: brokenNeighbours
	}
	before := 1 + bytes.Count(data[:d.Start], []byte("\n"))
	reason := fleet.Reason{Place: fleet.Place{File: name}}
	switch {
	case d.Template || d.Err.Code == yamledit.CodeUnparsable && inTemplates(name) && f.template:
		reason.Code, reason.Line = fleet.CodeHelmTemplate, before+marker-1
		reason.Message = "a template, not YAML: edit the values or the chart it is rendered with"
	default:
		reason.Code, reason.Message = fleet.Code(d.Err.Code), d.Err.Message
		reason.Line, reason.Column = d.Err.Line, d.Err.Column
	}
	if reason.Code != fleet.CodeUnparsable && slices.ContainsFunc(f.reasons, func(r fleet.FileReason) bool { return r.Reason.Code == reason.Code }) {
		return
	}
	f.reasons = append(f.reasons, fleet.FileReason{File: name, Reason: reason, Line: reason.Line})
}

// brokenNeighbours notes the documents that do not parse beside workloads or
// ConfigMaps that matter: these are changed, and what deploys the file refuses
// it as a whole.
func (f *facts) brokenNeighbours(file *yamledit.File, data []byte) {
	if len(f.workloads)+len(f.configMaps) == 0 {
		return
	}
	for _, d := range file.Documents() {
		if d.Node != nil || d.Err == nil || d.Template || d.Err.Code != yamledit.CodeUnparsable || markerLine(data[d.Start:d.End]) > 0 {
			continue
		}
		at := fleet.Place{File: f.file, Line: d.Err.Line, Column: d.Err.Column}
		f.reasons = append(f.reasons, fleet.FileReason{File: f.file, Line: at.Line, Reason: fleet.Reason{Code: fleet.CodeUnparsable, Message: d.Err.Message, Place: at}})
	}
}
