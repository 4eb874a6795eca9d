package ledger

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Schema is the version of Record and of the commit trailers.
const Schema = 1

// ErrNoRecord is a body that has no hidden record at all.
var ErrNoRecord = errors.New("no hidden record")

// The hidden record is one HTML comment. Standard base64 has no "-", so it can
// hold no "--", which would end the comment early.
const (
	recordStart = "<!-- otelshift:record "
	recordEnd   = " -->"
)

// Sizes in bytes. A body may have maxBody characters on GitHub; the record gets
// at most MaxRecord of them, and a decoded record more than maxDecoded is not
// ours.
const (
	MaxRecord  = 24_000
	maxBody    = 65_536
	maxDecoded = 8 << 20
)

// Encode returns the record as a hidden block for a pull request's body: gzip,
// base64, and a checksum in front. It fits MaxRecord characters: evidence is
// shortened first (logs, then events, then all of it), because it is shown in
// the comment of the verdict too; then the least telling effects are left out,
// because the commit holds every change. The same record gives the same bytes.
func Encode(r fleet.Record) string { return fitted(r, MaxRecord) }

// fitted is the block in at most so many characters, or the shortest there is.
func fitted(r fleet.Record, room int) string {
	r.Schema = Schema
	var block string
	for _, lines := range []int{40, 10, 3, 0, -1} {
		if block = encode(shorten(r, lines)); len(block) <= room {
			return block
		}
	}
	r = shorten(r, -1)
	for _, effects := range []int{100, 50, 25, 12, 6, 3, 1} {
		if block = encode(fewer(r, effects)); len(block) <= room {
			break
		}
	}
	return block
}

// fewer keeps at most n effects of every workload, n > 0: its images, then
// something of every container, then resources and the pod, then the others.
// They tell whether a change is deployed as well as all of them do: one commit
// made them.
func fewer(r fleet.Record, n int) fleet.Record {
	r.Workloads = slices.Clone(r.Workloads)
	for i, w := range r.Workloads {
		if len(w.Effects) <= n {
			continue
		}
		order := make([]int, len(w.Effects))
		rank := make([]int, len(w.Effects))
		seen := map[string]bool{}
		for k, e := range w.Effects {
			_, rest, _ := strings.Cut(e.Field, "ontainers[name=")
			container, _, _ := strings.Cut(rest, "]")
			order[k], rank[k] = k, 3
			switch {
			case e.Old == e.New:
				rank[k] = 4
			case strings.HasSuffix(e.Field, ".image"):
				rank[k], seen[container] = 0, true
			case !seen[container]:
				rank[k], seen[container] = 1, true
			case strings.Contains(e.Field, ".resources"), !strings.Contains(e.Field, "ontainers[name="):
				rank[k] = 2
			}
		}
		slices.SortStableFunc(order, func(a, b int) int { return rank[a] - rank[b] })
		order = order[:n]
		slices.Sort(order)
		kept := make([]fleet.RecordEffect, n)
		for k, at := range order {
			kept[k] = w.Effects[at]
		}
		r.Workloads[i].Effects = kept
	}
	return r
}

func encode(r fleet.Record) string { return recordStart + pack(r) + recordEnd }

// pack is a value for a hidden block.
func pack(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encoding record: %v", err)) // only strings, numbers and times: a bug of ours
	}
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		panic(fmt.Sprintf("encoding record: %v", err))
	}
	// A bytes.Buffer never refuses.
	_, _ = zip.Write(data)
	_ = zip.Close()
	text := base64.StdEncoding.EncodeToString(packed.Bytes())
	return checksum(text) + " " + text
}

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// shorten keeps at most the last lines of every log and as many events; 0
// keeps none, less than that drops the evidence.
func shorten(r fleet.Record, lines int) fleet.Record {
	r.Workloads = slices.Clone(r.Workloads)
	for i, w := range r.Workloads {
		if w.Verdict == nil {
			continue
		}
		v := *w.Verdict
		v.Evidence = slices.Clone(v.Evidence)
		for j, e := range v.Evidence {
			e.Log = tail(e.Log, lines)
			e.Events = tail(e.Events, lines)
			v.Evidence[j] = e
		}
		if lines < 0 {
			v.Evidence = nil
		}
		r.Workloads[i].Verdict = &v
	}
	return r
}

func tail(lines []string, n int) []string {
	n = max(n, 0)
	if len(lines) <= n {
		return lines
	}
	return slices.Clone(lines[len(lines)-n:])
}

// Decode reads the hidden record of a body. Blocks that cannot be read are
// passed over; the first readable one counts. It returns ErrNoRecord where
// there is none, and what was wrong with the last one where none is readable.
func Decode(body string) (fleet.Record, error) {
	failed := ErrNoRecord
	for {
		_, after, found := strings.Cut(body, recordStart)
		if !found {
			return fleet.Record{}, failed
		}
		block, rest, closed := strings.Cut(after, strings.TrimSpace(recordEnd))
		if !closed {
			block, rest = after, ""
		}
		r, err := decode(strings.TrimSpace(block))
		if err == nil {
			return r, nil
		}
		failed, body = fmt.Errorf("reading the hidden record: %w", err), rest
	}
}

func decode(block string) (fleet.Record, error) {
	var r fleet.Record
	if err := unpack(block, &r); err != nil {
		return fleet.Record{}, err
	}
	if r.Schema != Schema {
		return fleet.Record{}, fmt.Errorf("its schema is %d, this otelshift reads %d", r.Schema, Schema)
	}
	if r.Key == "" || (r.Kind != fleet.RecordBatch && r.Kind != fleet.RecordRevert) {
		return fleet.Record{}, errors.New("it names no batch")
	}
	return r, nil
}

// unpack reads what pack wrote.
func unpack(block string, into any) error {
	sum, text, found := strings.Cut(block, " ")
	if !found {
		return errors.New("it has no checksum")
	}
	// A mail client or an editor may wrap the line.
	text = strings.Join(strings.Fields(text), "")
	if checksum(text) != sum {
		return errors.New("its checksum is wrong: somebody edited it")
	}
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("decoding base64: %w", err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(zip, maxDecoded+1))
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if len(data) > maxDecoded {
		return fmt.Errorf("it unpacks to more than %d bytes", maxDecoded)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	return nil
}

// ReplaceRecord returns the body with its hidden records replaced by the one
// given; it is appended where there is none. What a person wrote stays, and the
// record is shortened to what that leaves of maxBody.
func ReplaceRecord(body string, r fleet.Record) string {
	var rest strings.Builder
	for {
		before, after, found := strings.Cut(body, recordStart)
		rest.WriteString(before)
		if !found {
			break
		}
		_, body, _ = strings.Cut(after, strings.TrimSpace(recordEnd))
	}
	text := strings.TrimRight(rest.String(), " \r\n") + "\n\n"
	return text + fitted(r, min(MaxRecord, maxBody-1-utf8.RuneCountInString(text))) + "\n"
}

// Hashed turns effects into what a record keeps of them.
func Hashed(effects []fleet.Effect) []fleet.RecordEffect {
	hashed := make([]fleet.RecordEffect, len(effects))
	for i, e := range effects {
		hashed[i] = e.Record()
	}
	return hashed
}

func hash(value string, absent bool) string {
	if absent {
		return fleet.HashAbsent
	}
	return fleet.HashValue(value)
}
