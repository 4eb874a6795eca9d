package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// Commit is what the trailers of one of our commits say.
type Commit struct {
	Schema  int
	Kind    fleet.RecordKind
	Key     string
	Number  int // of the batch
	Of      int // a revert's batch: its pull request
	Target  string
	Version string
	Attempt int
	Wave    string
	Changes []CommitChange
	Options []CommitOptions
}

// CommitOptions are the options that the configuration had us write into some
// workloads, in fleet.OptionHash's form.
type CommitOptions struct {
	Options   []string `json:"o"`
	Workloads []string `json:"w"` // fleet.ID.String()
}

func (c Commit) optionsOf(id string) []string {
	for _, o := range c.Options {
		if slices.Contains(o.Workloads, id) {
			return o.Options
		}
	}
	return nil
}

// CommitChange is one change by hash: values may be secret, and they are in
// the commit and its parent anyway.
type CommitChange struct {
	Workload string       `json:"w"` // fleet.ID.String()
	Action   fleet.Action `json:"a,omitempty"`
	File     string       `json:"p"`
	Field    string       `json:"f"`
	Op       fleet.Op     `json:"op"`
	Old      string       `json:"o"` // fleet.HashValue, or fleet.HashAbsent
	New      string       `json:"n"`
}

// Mark is in the message of every commit of ours.
const Mark = trailerKey + ": "

// Trailer keys.
const (
	trailerSchema  = "Otelshift-Schema"
	trailerKind    = "Otelshift-Kind"
	trailerKey     = "Otelshift-Key"
	trailerNumber  = "Otelshift-Batch"
	trailerOf      = "Otelshift-Of"
	trailerTarget  = "Otelshift-Target"
	trailerVersion = "Otelshift-Agent"
	trailerAttempt = "Otelshift-Attempt"
	trailerWave    = "Otelshift-Wave"
	trailerChange  = "Otelshift-Change"
	trailerOptions = "Otelshift-Options"
	trailerSignOff = "Signed-off-by"
)

// CommitMessage is the message of a batch's or revert's commit: a subject, the
// workloads, and trailers with everything that a later run needs, in hashes
// and never in values. It has no clock and no random: the same record makes
// the same commit.
func CommitMessage(r fleet.Record, changes map[fleet.ID][]fleet.Change, by config.Commit) string {
	var b strings.Builder
	b.WriteString(subject(r) + "\n\n")
	for _, w := range r.Workloads {
		b.WriteString("- " + oneLine(w.ID))
		if w.Image != nil {
			b.WriteString(": " + oneLine(w.Image.To))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	trailer := func(key, value string) {
		if value != "" {
			b.WriteString(key + ": " + value + "\n")
		}
	}
	number := func(key string, n int) {
		if n != 0 {
			trailer(key, strconv.Itoa(n))
		}
	}
	number(trailerSchema, Schema)
	trailer(trailerKind, string(r.Kind))
	trailer(trailerKey, r.Key)
	number(trailerNumber, r.Number)
	number(trailerOf, r.Of)
	trailer(trailerTarget, r.Target)
	trailer(trailerVersion, oneLine(r.Version))
	number(trailerAttempt, r.Attempt)
	trailer(trailerWave, oneLine(r.Wave))
	byID := make(map[string][]fleet.Change, len(changes))
	for id, list := range changes {
		byID[id.String()] = list
	}
	for _, w := range r.Workloads {
		for _, c := range byID[w.ID] {
			line := CommitChange{
				Workload: w.ID, Action: w.Action, File: c.File, Field: c.Field, Op: c.Op,
				Old: hash(c.Old, c.Op == fleet.OpAdd), New: hash(c.New, c.Op == fleet.OpRemove),
			}
			data, err := json.Marshal(line)
			if err != nil {
				panic(fmt.Sprintf("encoding a trailer: %v", err)) // strings only
			}
			trailer(trailerChange, string(data))
		}
	}
	for _, o := range optionsOf(r) {
		data, err := json.Marshal(o)
		if err != nil {
			panic(fmt.Sprintf("encoding a trailer: %v", err)) // strings only
		}
		trailer(trailerOptions, string(data))
	}
	if by.SignOff {
		trailer(trailerSignOff, fmt.Sprintf("%s <%s>", by.Name, by.Email))
	}
	return b.String()
}

// oneLine is text of others', which may hold anything: a line break in it would
// begin a trailer.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if fleet.BreaksLine(r) {
			return ' '
		}
		return r
	}, text)
}

// optionsOf groups the record's workloads by their options, in the record's
// order. A revert writes none.
func optionsOf(r fleet.Record) []CommitOptions {
	var groups []CommitOptions
	for _, w := range r.Workloads {
		if w.Options == nil || r.Kind == fleet.RecordRevert {
			continue
		}
		at := slices.IndexFunc(groups, func(o CommitOptions) bool { return slices.Equal(o.Options, w.Options) })
		if at < 0 {
			at = len(groups)
			groups = append(groups, CommitOptions{Options: w.Options})
		}
		groups[at].Workloads = append(groups[at].Workloads, w.ID)
	}
	return groups
}

func subject(r fleet.Record) string {
	n := len(r.Workloads)
	noun := "workloads"
	if n == 1 {
		noun = "workload"
	}
	if r.Kind == fleet.RecordRevert {
		return fmt.Sprintf("Revert %d %s of batch %d (#%d)", n, noun, r.Number, r.Of)
	}
	verb, target := "Move", "to OpenTelemetry Java agent "+r.Version
	switch batchAction(r) {
	case fleet.ActionUpgrade:
		verb = "Bring"
	case fleet.ActionRebuild:
		verb, target = "Put OpenTelemetry Java agent "+r.Version+" into", "again"
		return fmt.Sprintf("%s %d %s %s (batch %d)", verb, n, noun, target, r.Number)
	case fleet.ActionMigrate, fleet.ActionNone, fleet.ActionSkip, fleet.ActionBlocked, fleet.ActionUnread:
	}
	return fmt.Sprintf("%s %d %s %s (batch %d)", verb, n, noun, target, r.Number)
}

// batchAction is the action that all of a record's workloads share, migrate if
// they differ.
func batchAction(r fleet.Record) fleet.Action {
	if len(r.Workloads) == 0 {
		return fleet.ActionMigrate
	}
	action := r.Workloads[0].Action
	for _, w := range r.Workloads {
		if w.Action != action {
			return fleet.ActionMigrate
		}
	}
	return action
}

// MaxNumber is more than a batch, a pull request or an attempt of ours is ever
// numbered: what a trailer says beyond it is nobody's.
const MaxNumber = 1 << 31

// natural reads a number of ours.
func natural(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err == nil && (n < 0 || n >= MaxNumber) {
		err = fmt.Errorf("%d is out of range", n)
	}
	return n, err
}

// ErrNotOurs is a commit that carries no trailers of ours.
var ErrNotOurs = errors.New("no otelshift trailers")

// ParseCommit reads the trailers of a commit message. A squash or merge may
// have put text in front of, between or behind them. It returns ErrNotOurs if
// there are none.
func ParseCommit(message string) (Commit, error) {
	var c Commit
	for line := range strings.Lines(message) {
		// GitHub's squash message indents or stars the messages it collects.
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "* "))
		key, value, found := strings.Cut(line, ": ")
		if !found {
			continue
		}
		value = strings.TrimSpace(value)
		var err error
		switch key {
		case trailerSchema:
			c.Schema, err = natural(value)
		case trailerKind:
			c.Kind = fleet.RecordKind(value)
		case trailerKey:
			c.Key = value
		case trailerNumber:
			c.Number, err = natural(value)
		case trailerOf:
			c.Of, err = natural(value)
		case trailerTarget:
			c.Target = value
		case trailerVersion:
			c.Version = value
		case trailerAttempt:
			c.Attempt, err = natural(value)
		case trailerWave:
			c.Wave = value
		case trailerChange:
			var change CommitChange
			if err = json.Unmarshal([]byte(value), &change); err == nil {
				c.Changes = append(c.Changes, change)
			}
		}
		if key == trailerOptions {
			var options CommitOptions
			if err = json.Unmarshal([]byte(value), &options); err == nil {
				c.Options = append(c.Options, options)
			}
		}
		if err != nil {
			return Commit{}, fmt.Errorf("reading trailer %s: %w", key, err)
		}
	}
	if c.Key == "" {
		return Commit{}, ErrNotOurs
	}
	if c.Schema != Schema {
		return Commit{}, fmt.Errorf("reading trailers: their schema is %d, this otelshift reads %d", c.Schema, Schema)
	}
	return c, nil
}

// Restore makes the record anew of which a pull request's body was robbed. What
// only the body had is lost: baselines, verdicts, answers, image names; the
// effects are the file changes', whose fields are the object's where the
// manifest is plain.
func Restore(c Commit, base string) fleet.Record {
	r := fleet.Record{
		Schema: Schema, Kind: c.Kind, Key: c.Key, Number: c.Number, Of: c.Of, Target: c.Target,
		Version: c.Version, Attempt: c.Attempt, Base: base, Wave: c.Wave,
	}
	index := map[string]int{}
	for _, change := range c.Changes {
		i, known := index[change.Workload]
		if !known {
			i = len(r.Workloads)
			index[change.Workload] = i
			r.Workloads = append(r.Workloads, fleet.RecordWorkload{
				ID: change.Workload, Action: change.Action, File: change.File, Options: c.optionsOf(change.Workload),
			})
		}
		r.Workloads[i].Effects = append(r.Workloads[i].Effects, fleet.RecordEffect{Field: change.Field, Old: change.Old, New: change.New})
	}
	return r
}
