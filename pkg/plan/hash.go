package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// hashLen is the length of keys and of the target hash in hex digits.
const hashLen = 12

func digest(facts any) string {
	data, err := json.Marshal(facts)
	if err != nil {
		panic(fmt.Sprintf("hashing: %v", err)) // values of ours only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:hashLen]
}

// TargetHash identifies what workloads are brought to: the payload's digest,
// and the options, delivery and removals of the configuration. A decline or
// quarantine holds for one target hash. What only decides whether a workload is
// blocked (allowLost, collector, code) does not enter. Without a payload digest
// the configured source stands in for it, so an offline hash differs.
func TargetHash(c config.Config, p fleet.Payload) string {
	s := c.Spec
	payload := any(p.Digest)
	if p.Digest == "" {
		payload = []any{s.Agent.Source, s.Agent.Extensions, s.Agent.StartScript}
	}
	return digest(struct {
		Schema                                    int
		Payload                                   any
		Version, Directory, InitImage, Delivery   string
		Entrypoint                                []string
		Endpoint, Protocol, ServiceName, Location string
		Add, Remove                               []string
		Overrides                                 []config.Override
		Cleanup                                   bool
		Removal                                   config.Remove
		Pin, NameLabel                            string
	}{
		Schema: 1, Payload: payload, Version: s.Agent.Version, Directory: s.Agent.Directory, InitImage: s.Agent.InitImage, Delivery: s.Delivery,
		Entrypoint: s.Agent.Entrypoint, Endpoint: s.Options.Endpoint, Protocol: s.Options.Protocol, ServiceName: s.Options.ServiceName,
		Location: s.Options.Placement, Add: s.Options.Add, Remove: s.Options.Remove, Overrides: s.Options.Overrides, Cleanup: s.Options.Cleanup,
		Removal: s.Image.Remove, Pin: s.Image.Pin, NameLabel: s.Workloads.NameLabel,
	})
}

// BatchKey identifies a batch's work: the same work never opens twice. Bases
// are, for a rebuild, the images that it starts from (names or digests); the
// attempt rises only when a person asks to retry.
func BatchKey(action fleet.Action, ids []fleet.ID, target string, bases []string, attempt int) string {
	return digest(struct {
		Action  fleet.Action
		IDs     []string
		Target  string
		Bases   []string
		Attempt int
	}{action, idStrings(ids), target, slices.Sorted(slices.Values(bases)), attempt})
}

// RevertKey identifies a revert: a batch, and which of its workloads failed.
func RevertKey(batch string, ids []fleet.ID) string {
	return digest(struct {
		Revert string
		IDs    []string
	}{batch, idStrings(ids)})
}

func idStrings(ids []fleet.ID) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.String()
	}
	slices.Sort(names)
	return names
}
