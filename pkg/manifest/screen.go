package manifest

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// needles are the byte strings of which every file that matters holds one.
// They are short enough that no fold of a YAML scalar splits them.
//
//nolint:gochecknoglobals // lookup table
var needles = [][]byte{
	[]byte("kywalking"), []byte("kyWalking"), []byte("KYWALKING"), []byte("SW_"), []byte("javaagent"), []byte("swck"),
	[]byte("inject-java"),
}

// markers are the needles that speak of SkyWalking and nothing else.
//
//nolint:gochecknoglobals // lookup table
var markers = [][]byte{
	[]byte("kywalking"), []byte("kyWalking"), []byte("KYWALKING"), []byte("SW_AGENT_"), []byte("swck"),
}

// references are what a workload needs to take variables from another object.
//
//nolint:gochecknoglobals // lookup table
var references = [][]byte{[]byte("onfigMap"), []byte("ecretRef"), []byte("ecretKeyRef")}

func containsAny(data []byte, needles [][]byte) bool {
	for _, n := range needles {
		if bytes.Contains(data, n) {
			return true
		}
	}
	return false
}

// encodedNeedles are "javaagent" in base64, at the three offsets it may have
// within the text of a Secret.
func encodedNeedles() [][]byte {
	const word = "javaagent"
	var out [][]byte
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + word + "xxx"))
		first, last := (shift*8+5)/6, (shift+len(word))*8/6
		out = append(out, []byte(text[first:last]))
	}
	return out
}

// markerLine returns the 1-based line of the first marker that stands outside
// a comment, 0 if there is none. A flag goes before any other marker.
func markerLine(data []byte) int {
	first := 0
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := line
		if i := commentStart(text); i >= 0 {
			text = text[:i]
		}
		if !containsAny(text, markers) {
			continue
		}
		if bytes.Contains(text, []byte("-javaagent:")) {
			return number
		}
		if first == 0 {
			first = number
		}
	}
	return first
}

// commentStart is the offset of the "#" that starts a comment; quotes are not
// looked at, so a text that holds " #" counts as a comment.
func commentStart(line []byte) int {
	for i, c := range line {
		if c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// countWorkloads counts the lines that declare a common kind of workload.
func countWorkloads(data []byte) int {
	count := 0
	for rest := data; ; {
		i := bytes.Index(rest, []byte("kind: "))
		if i < 0 {
			return count
		}
		start := len(data) - len(rest) + i
		rest = rest[i+len("kind: "):]
		if start > 0 && data[start-1] != '\n' && data[start-1] != ' ' {
			continue
		}
		for _, kind := range workloadKinds {
			if after, ok := bytes.CutPrefix(rest, kind); ok && (len(after) == 0 || after[0] == '\n' || after[0] == '\r' || after[0] == ' ') &&
				!ownedBy(data, start) {
				count++
				break
			}
		}
	}
}

// ownedBy reports that the line before speaks of a reference, as in a
// HorizontalPodAutoscaler's scaleTargetRef.
func ownedBy(data []byte, start int) bool {
	line := bytes.LastIndexByte(data[:start], '\n')
	if line < 0 || start-line-1 == 0 {
		return false
	}
	before := data[:line]
	if i := bytes.LastIndexByte(before, '\n'); i >= 0 {
		before = before[i+1:]
	}
	return bytes.Contains(before, []byte("Ref"))
}

//nolint:gochecknoglobals // lookup table
var workloadKinds = [][]byte{
	[]byte("Deployment"), []byte("StatefulSet"), []byte("DaemonSet"), []byte("Rollout"), []byte("CloneSet"),
}
