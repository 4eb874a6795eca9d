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

// Sizes in bytes. A body may have 65,536 characters; the record gets at most
// maxRecord of them, and a decoded record more than maxDecoded is not ours.
const (
	maxRecord  = 24_000
	maxDecoded = 8 << 20
)

// Encode returns the record as a hidden block for a pull request's body: gzip,
// base64, and a checksum in front. It fits maxRecord characters: evidence is
// shortened first (logs, then events, then all of it), because it is shown in
// the comment of the verdict too. The same record gives the same bytes.
func Encode(r fleet.Record) string {
	r.Schema = Schema
	var block string
	for _, lines := range []int{40, 10, 3, 0, -1} {
		block = encode(shorten(r, lines))
		if len(block) <= maxRecord {
			break
		}
	}
	return block
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
// given; it is appended where there is none. What a person wrote stays.
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
	return strings.TrimRight(rest.String(), " \r\n") + "\n\n" + Encode(r) + "\n"
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
