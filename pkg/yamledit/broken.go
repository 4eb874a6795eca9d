package yamledit

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// readChunks reads the documents of a file that does not parse as a whole.
func (f *File) readChunks(b blame) {
	data := f.src.data
	for _, c := range f.chunks() {
		text := data[c.start:c.end]
		docs, err := decode(text)
		f.addDocuments(docs, c.line)
		if err == nil {
			continue
		}
		e := &ParseError{File: f.name, Code: CodeUnparsable, Message: problem(err)}
		if b == findLine {
			line := brokenLine(text, err)
			e.Line, e.Column = c.line+line, brokenColumn(text, err, line)
		}
		start := c.start
		if len(docs) > 0 { // a chunk of several documents: "..." ends all but the last
			start = f.src.starts[docs[len(docs)-1].Line-1] + 1
		}
		f.docs = append(f.docs, Document{Index: len(f.docs), Err: e, Start: start, Template: hasTemplate(text)})
	}
}

type chunk struct{ start, end, line int } // line: lines before it

// chunks splits the file at "---" lines. A line that begins with the marker
// starts a document wherever it stands: neither a quoted nor a block scalar may
// hold one.
func (f *File) chunks() []chunk {
	var out []chunk
	start, line := 0, 0
	data := f.src.data
	for i, p := range f.src.starts {
		if i == 0 || !isMarker(data[p:]) {
			continue
		}
		out = append(out, chunk{start, p, line})
		start, line = p, i
	}
	return append(out, chunk{start, len(data), line})
}

func isMarker(b []byte) bool {
	if !bytes.HasPrefix(b, []byte("---")) {
		return false
	}
	return len(b) == 3 || isBlank(b[3]) || breakLen(b[3:]) > 0
}

// hasTemplate finds "{{", or a line that starts with Jinja's "{%", outside
// comments in text that does not parse.
func hasTemplate(text []byte) bool {
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("{%")) {
			return true
		}
		i := bytes.Index(line, []byte("{{"))
		if i < 0 {
			continue
		}
		c := bytes.IndexByte(line, '#')
		if c < 0 || c > i || (c > 0 && !isBlank(line[c-1])) {
			return true
		}
	}
	return false
}

// messageLine is the line number in a message of the parser, which is not to be
// trusted; see brokenLine.
var messageLine = regexp.MustCompile(`^line (\d+): `)

func problem(err error) string {
	m := strings.TrimPrefix(err.Error(), "yaml: ")
	return messageLine.ReplaceAllString(m, "")
}

// brokenLine finds the 1-based line of text that a parse error is about. The
// number in the message lies: it is zero-based for errors of the parser (not of
// the scanner), names the line where the enclosing collection starts rather
// than the broken one, and is absent on the first line. Scanner errors do name
// the start of the broken token. For all others the first line is searched with
// which the text, cut behind it, fails in the same way.
func brokenLine(text []byte, err error) int {
	// A comment in front makes every number a number of its own line.
	text = append([]byte("#\n"), bytes.TrimPrefix(text, []byte(bom))...)
	_, err2 := decode(text)
	if err2 == nil || problem(err2) != problem(err) {
		return 1
	}
	number := 0
	if m := messageLine.FindStringSubmatch(strings.TrimPrefix(err2.Error(), "yaml: ")); m != nil {
		number, _ = strconv.Atoi(m[1])
	}
	if number > 0 && isScannerError(problem(err)) {
		return max(1, number-1)
	}
	src := newSource(text)
	last := len(src.starts)
	fails := func(lines int) bool {
		end := len(text)
		if lines < last {
			end = src.starts[lines]
		}
		_, err := decode(text[:end])
		return err != nil && problem(err) == problem(err2)
	}
	// Gallop from the line that the message names, then halve.
	low, step := max(1, number), 1
	if fails(low) {
		low = 1
	}
	high := low + step
	for high < last && !fails(high) {
		low = high
		step *= 2
		high = min(last, low+step)
	}
	high = min(high, last)
	for low+1 < high {
		if mid := (low + high) / 2; fails(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return max(1, high-1)
}

var unknownAnchor = regexp.MustCompile(`^unknown anchor '(.+)' referenced`)

// maxColumnSearch bounds the text, in bytes, that is parsed over and over to find
// a column.
const maxColumnSearch = 256 << 10

// brokenColumn finds the 1-based rune column on the broken line: of the first
// character with which the text, cut behind it, fails in the same way; else of
// the line's first character that is not blank.
func brokenColumn(text []byte, err error, line int) int {
	src := newSource(text)
	if line > len(src.starts) {
		return 0
	}
	start := src.starts[line-1]
	end, _ := src.lineEnd(start)
	if m := unknownAnchor.FindStringSubmatch(problem(err)); m != nil { // a part of the name is unknown too
		if i := bytes.Index(text[start:end], []byte("*"+m[1])); i >= 0 {
			return src.column(start+i) + 1
		}
	}
	var ends []int // offsets behind each character of the line
	for p := start; p < end; {
		_, n := utf8.DecodeRune(text[p:])
		p += n
		ends = append(ends, p)
	}
	fails := func(i int) bool {
		_, err2 := decode(text[:ends[i]])
		return err2 != nil && problem(err2) == problem(err)
	}
	if len(ends) > 0 && end <= maxColumnSearch && fails(len(ends)-1) {
		low, high := -1, len(ends)-1
		for low+1 < high {
			if mid := (low + high) / 2; fails(mid) {
				high = mid
			} else {
				low = mid
			}
		}
		return high + 1
	}
	blank := 0
	for blank < len(ends) && isBlank(text[ends[blank]-1]) {
		blank++
	}
	return min(blank+1, max(len(ends), 1))
}

// isScannerError tells errors of the scanner, whose number is right, from those
// of the parser; yaml.v3 parserc.go.
func isScannerError(message string) bool {
	switch {
	case strings.HasPrefix(message, "did not find expected <"),
		strings.HasPrefix(message, "did not find expected node content"),
		strings.HasPrefix(message, "did not find expected '-' indicator"),
		strings.HasPrefix(message, "did not find expected key"),
		strings.HasPrefix(message, "did not find expected ',' or "),
		strings.HasPrefix(message, "found a tab character"),
		strings.HasPrefix(message, "found undefined tag handle"),
		strings.HasPrefix(message, "found duplicate %"),
		strings.HasPrefix(message, "found incompatible YAML document"),
		strings.HasPrefix(message, "unknown anchor"),
		strings.HasPrefix(message, "expected "),
		strings.HasPrefix(message, "exceeded max depth"):
		return false
	}
	return true
}

// index fills the table of parents.
func (f *File) index() map[*yaml.Node]ref {
	if f.parent != nil {
		return f.parent
	}
	f.parent = map[*yaml.Node]ref{}
	var walk func(n *yaml.Node, doc int)
	walk = func(n *yaml.Node, doc int) {
		for i, c := range n.Content {
			f.parent[c] = ref{n, i, doc}
			walk(c, doc)
		}
	}
	for _, d := range f.docs {
		if d.Node != nil {
			f.parent[d.Node] = ref{nil, 0, d.Index}
			walk(d.Node, d.Index)
		}
	}
	return f.parent
}
