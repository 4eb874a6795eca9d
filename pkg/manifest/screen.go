package manifest

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// Every file that matters holds one of a few byte strings, the needles. They are
// short enough that no fold of a YAML scalar splits them.

// markers are the needles that speak of SkyWalking and nothing else.
//
//nolint:gochecknoglobals // lookup table
var markers = [][]byte{
	[]byte("kywalking"), []byte("kyWalking"), []byte("KYWALKING"), []byte("SW_AGENT_"), []byte("swck"),
}

// contains reports one of the words. All hold the anchor, a byte that is rare
// in manifests: looking for it is much faster than for each word.
func contains(data []byte, anchor byte, words ...string) bool {
	for from := 0; ; {
		i := bytes.IndexByte(data[from:], anchor)
		if i < 0 {
			return false
		}
		i += from
		from = i + 1
		for _, word := range words {
			start := i - strings.IndexByte(word, anchor)
			if start >= 0 && len(data)-start >= len(word) && string(data[start:start+len(word)]) == word {
				return true
			}
		}
	}
}

// needled reports one of the needles.
func needled(data []byte) bool {
	return contains(data, 'W', "SW_", "kyWalking", "KYWALKING") || contains(data, 'j', "javaagent", "inject-java") ||
		contains(data, 'w', "kywalking", "swck")
}

// refers reports what a workload needs to take variables from another object.
func refers(data []byte) bool {
	return contains(data, 'M', "onfigMap") || contains(data, 'R', "ecretRef", "ecretKeyRef")
}

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
	count, _, _ := kinds(data)
	return count
}

// kinds counts the lines that declare a common kind of workload, and reports an
// object that bears on workloads of other files, and one that may say where pods
// send to.
func kinds(data []byte) (workloads int, other, policy bool) {
	for rest := data; ; {
		i := bytes.Index(rest, []byte("kind: "))
		if i < 0 {
			return workloads, other, policy
		}
		start := len(data) - len(rest) + i
		rest = rest[i+len("kind: "):]
		if start > 0 && data[start-1] != '\n' && data[start-1] != ' ' {
			continue
		}
		end := 0
		for end < len(rest) && (rest[end]|0x20 >= 'a' && rest[end]|0x20 <= 'z') {
			end++
		}
		switch string(rest[:end]) {
		case "Deployment", "StatefulSet", "DaemonSet", "Rollout", "CloneSet":
			if !ownedBy(data, start) {
				workloads++
			}
			other = other || bytes.Contains(data, []byte("workloadRef")) // of a Rollout, which runs another's pods
		case "Namespace", "Application", "ApplicationSet", "Instrumentation", "SwAgent":
			other = true
		case "Kustomization", "HelmRelease", "HelmChart", "GitRepository":
			other = other || bytes.Contains(data, []byte(".toolkit.fluxcd.io/"))
		default:
			if _, way := ways[string(rest[:end])]; way {
				policy = policy || bytes.Contains(data, []byte("gress"))
				other = other || bytes.Contains(data, []byte("oap")) || bytes.Contains(data, []byte(backendPort))
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
