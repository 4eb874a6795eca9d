package plan

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Groupings of batch.groupBy.
const groupByOwner = "owner"

// wave names the first wave whose globs take the file; empty: none.
func (m *maker) wave(file string) string {
	for _, w := range m.spec.Batch.Waves {
		if slices.ContainsFunc(w.Include, func(glob string) bool { return matchPath(glob, file) }) {
			return w.Name
		}
	}
	return ""
}

// waveOf is the wave that a workload is deployed in: its overlay's, though the
// base that declares it is in another one or in none.
func (m *maker) waveOf(w fleet.Workload) string {
	if w.Root != "" {
		if wave := m.wave(w.Root); wave != "" {
			return wave
		}
	}
	return m.wave(w.Place.File)
}

// waveIndex orders waves; what is in none comes last.
func (m *maker) waveIndex(name string) int {
	for i, w := range m.spec.Batch.Waves {
		if w.Name == name {
			return i
		}
	}
	return len(m.spec.Batch.Waves)
}

// unit is workloads that have to go together because they share a place.
type unit struct {
	members []*draft
}

// units joins the workloads that share places, and blocks those that cannot
// go together: a place shared with a workload that does not change, that
// would need another value there, or with too many.
func (m *maker) units(drafts []*draft) []unit {
	byID := draftsByID(drafts)
	m.blockConflicts(drafts, byID)
	// Blocking one workload may block others with it.
	for changed := true; changed; {
		changed = m.blockRepeated(drafts)
		for _, d := range drafts {
			if d.plan.Action.Changes() && m.blockShared(d, byID) {
				changed = true
			}
		}
	}
	units := m.join(drafts, byID)
	var fit []unit
	again := false
	for _, u := range units {
		if reason, tooLarge := m.unfit(u); tooLarge {
			for _, d := range u.members {
				d.block(fleet.CodeShared, d.sharedPlace(), reason)
			}
			again = true
			continue
		}
		fit = append(fit, u)
	}
	if again {
		return m.units(drafts) // everybody who shared with them is blocked too
	}
	return fit
}

// draftsByID finds a workload as those name it that share a place with it.
func draftsByID(drafts []*draft) map[fleet.ID]*draft {
	byID := make(map[fleet.ID]*draft, len(drafts))
	for _, d := range drafts {
		byID[d.plan.ID] = d
		byID[d.w.ID] = d
		// Users of a place are named without the wave that stands for a cluster.
		bare := d.plan.ID
		bare.Cluster = ""
		if byID[bare] == nil {
			byID[bare] = d
		}
	}
	return byID
}

// allowed reports that batch.allowShared takes the file.
func (m *maker) allowed(file string) bool {
	return slices.ContainsFunc(m.spec.Batch.AllowShared, func(glob string) bool { return matchPath(glob, file) })
}

// blockConflicts blocks the workloads that need different values at one place,
// each with what would part them.
func (m *maker) blockConflicts(drafts []*draft, byID map[fleet.ID]*draft) {
	var conflicts []func()
	for _, d := range drafts {
		if !d.plan.Action.Changes() {
			continue
		}
		m.eachSharer(d, byID, func(p place, id fleet.ID, other *draft) bool {
			if other == nil || !other.plan.Action.Changes() || newAt(d, p) == newAt(other, p) {
				return true
			}
			at, message := d.placeOf(p), fmt.Sprintf("%s of %s also decides %s, which needs another value there: %s would part them",
				p.field, p.file, id, p.remedy()+m.beside(d, p))
			conflicts = append(conflicts, func() { d.block(fleet.CodeShared, at, message) })
			return false
		})
	}
	for _, block := range conflicts {
		block()
	}
}

// blockShared blocks the workload if a place that it changes is shared with
// one that does not change.
func (m *maker) blockShared(d *draft, byID map[fleet.ID]*draft) bool {
	blocked := false
	m.eachSharer(d, byID, func(p place, id fleet.ID, other *draft) bool {
		if other != nil && other.plan.Action.Changes() {
			return true
		}
		d.block(fleet.CodeShared, d.placeOf(p), fmt.Sprintf("%s of %s also decides %s, which is not changed%s: %s would part them "+
			"(batch.allowShared takes it as it is)", p.field, p.file, id, why(other), p.remedy()))
		blocked = true
		return false
	})
	return blocked
}

// eachSharer visits the others that a place decides which the workload changes,
// until a visit returns false; nil is one that is not planned.
func (m *maker) eachSharer(d *draft, byID map[fleet.ID]*draft, visit func(p place, id fleet.ID, other *draft) bool) {
	for _, p := range sortedPlaces(d.places) {
		if m.allowed(p.file) {
			continue
		}
		for _, id := range d.places[p] {
			if id == d.plan.ID || byID[id] == d {
				continue
			}
			if !visit(p, id, byID[id]) {
				return
			}
		}
	}
}

// remedy is what would give a place to one workload alone.
func (p place) remedy() string {
	switch {
	case p.inConfigMap():
		return "a ConfigMap of its own"
	case strings.HasPrefix(p.field, "configMapGenerator["):
		return "a configMapGenerator of the overlay's own"
	case p.inSet():
		return "a parameter of each element's own"
	case p.inValues():
		return "values of its own"
	}
	return "a patch in the overlay"
}

// inSet reports a place in an ApplicationSet.
func (p place) inSet() bool {
	return strings.HasPrefix(p.field, "spec.generators[") || strings.HasPrefix(p.field, "spec.template.spec.source")
}

// inValues reports a place in values of Helm's: a file of them, or what an
// Application or HelmRelease lays over it.
func (p place) inValues() bool {
	if strings.HasPrefix(p.field, "spec.source") {
		return strings.Contains(p.field, ".helm.")
	}
	if strings.HasPrefix(p.field, "spec.values") {
		return true
	}
	base := path.Base(p.file)
	if p.inConfigMap() || base == "Kustomization" || strings.HasPrefix(base, "kustomization.") {
		return false
	}
	root := p.field
	if end := strings.IndexAny(root, ".[ "); end >= 0 {
		root = root[:end]
	}
	// What objects, lists and templates of them, and patches begin with.
	return !slices.Contains([]string{"", "spec", "metadata", "template", "items", "objects"}, root)
}

// beside is the other way to part workloads whose flags differ in options alone.
// In values there may be no variables that could take them.
func (m *maker) beside(d *draft, p place) string {
	if m.spec.Options.Placement == "env" || p.inSet() || p.inValues() || !strings.Contains(newAt(d, p), "-javaagent:") {
		return ""
	}
	return ", or options.placement: env,"
}

func (p place) inConfigMap() bool {
	return strings.HasPrefix(p.field, "data.") || strings.HasPrefix(p.field, "data[")
}

func why(other *draft) string {
	if other == nil || other.plan.Reason == nil {
		return ""
	}
	return " (" + string(other.plan.Reason.Code) + ")"
}

// newAt is what the workload's changes make of a place.
func newAt(d *draft, p place) string {
	for _, c := range d.plan.Changes {
		if (place{c.File, c.Document, c.Item, c.Field}) == p {
			return string(c.Op) + c.New
		}
	}
	return ""
}

func sortedPlaces(places map[place][]fleet.ID) []place {
	list := make([]place, 0, len(places))
	for p := range places {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.document, b.document), cmp.Compare(a.item, b.item), cmp.Compare(a.field, b.field))
	})
	return list
}

func (d *draft) placeOf(p place) fleet.Place {
	for _, c := range d.plan.Changes {
		if (place{c.File, c.Document, c.Item, c.Field}) == p {
			return c.Place
		}
	}
	return fleet.Place{File: p.file}
}

func (d *draft) sharedPlace() fleet.Place {
	for _, p := range sortedPlaces(d.places) {
		return d.placeOf(p)
	}
	return d.w.Place
}

// join makes units of the workloads that change.
func (m *maker) join(drafts []*draft, byID map[fleet.ID]*draft) []unit {
	root := map[*draft]*draft{}
	var find func(d *draft) *draft
	find = func(d *draft) *draft {
		if root[d] == nil || root[d] == d {
			return d
		}
		root[d] = find(root[d])
		return root[d]
	}
	for _, d := range drafts {
		if !d.plan.Action.Changes() {
			continue
		}
		for _, users := range d.places {
			for _, id := range users {
				if other := byID[id]; other != nil && other.plan.Action.Changes() {
					root[find(other)] = find(d)
				}
			}
		}
	}
	index := map[*draft]int{}
	var units []unit
	for _, d := range drafts {
		if !d.plan.Action.Changes() {
			continue
		}
		top := find(d)
		i, known := index[top]
		if !known {
			i = len(units)
			index[top] = i
			units = append(units, unit{})
		}
		units[i].members = append(units[i].members, d)
	}
	return units
}

// unfit says why a unit cannot be one batch.
func (m *maker) unfit(u unit) (reason string, unfit bool) {
	if len(u.members) < 2 {
		return "", false
	}
	var roots []string
	remedy := "a ConfigMap of its own for each"
	waves := map[string]bool{}
	for _, d := range u.members {
		waves[d.plan.Wave] = true
		for p := range d.places {
			if m.allowed(p.file) {
				return "", false
			}
			roots = append(roots, p.file)
			switch {
			case p.inConfigMap():
			case p.inSet() || p.inValues():
				remedy = p.remedy() + " for each"
			default:
				remedy = "a patch of env and image in each overlay"
			}
		}
	}
	slices.Sort(roots)
	roots = slices.Compact(roots)
	files := strings.Join(roots, ", ")
	switch limit := m.spec.Batch.MaxSize; {
	case limit > 0 && len(u.members) > limit:
		return fmt.Sprintf("%d workloads are decided together in %s, more than batch.maxSize (%d): %s would part them",
			len(u.members), files, limit, remedy), true
	case len(waves) > 1:
		return fmt.Sprintf("workloads of the waves %s are decided together in %s: %s would part them",
			strings.Join(fleet.SortedKeys(waves), ", "), files, remedy), true
	}
	return "", false
}

// rank orders actions: what would not start comes first.
func rank(a fleet.Action) int {
	return slices.Index([]fleet.Action{fleet.ActionRebuild, fleet.ActionMigrate, fleet.ActionUpgrade}, a)
}

// action is the unit's: its members' gravest.
func (u unit) action() fleet.Action {
	action := u.members[0].plan.Action
	for _, d := range u.members {
		if rank(d.plan.Action) < rank(action) {
			action = d.plan.Action
		}
	}
	return action
}

// owner is everybody who owns a part of the unit.
func (u unit) owner() string {
	if len(u.members) == 1 {
		return u.members[0].plan.Owner
	}
	var all []string
	for _, d := range u.members {
		all = append(all, strings.Fields(d.plan.Owner)...)
	}
	return together(all)
}

// batches groups what may be proposed: by wave, action and owner, the canary
// first, filled to batch.size. Workloads in open pull requests stay where they
// are.
func (m *maker) batches(units []unit) []fleet.BatchPlan {
	list := []fleet.BatchPlan{}
	units = slices.DeleteFunc(slices.Clone(units), m.proposed)
	slices.SortStableFunc(units, func(a, b unit) int {
		x, y := a.members[0].plan, b.members[0].plan
		return cmp.Or(cmp.Compare(m.waveIndex(x.Wave), m.waveIndex(y.Wave)), cmp.Compare(rank(a.action()), rank(b.action())),
			cmp.Compare(a.owner(), b.owner()), cmp.Compare(x.File, y.File), x.ID.Compare(y.ID))
	})
	number, canary := 1, true
	if m.in.Ledger != nil {
		number, canary = m.in.Ledger.NextNumber(), !m.in.Ledger.Started()
	}
	var group []unit
	flush := func() {
		if len(group) > 0 {
			list = append(list, m.batch(number, group))
			number++
			group = nil
		}
	}
	for _, u := range units {
		limit := m.spec.Batch.Size
		if canary && u.action() != fleet.ActionRebuild && m.spec.Batch.First > 0 {
			limit = min(limit, m.spec.Batch.First)
		}
		if len(group) > 0 && (m.apart(group[0], u) || size(group)+len(u.members) > limit) {
			if group[0].action() != fleet.ActionRebuild {
				canary = false
			}
			flush()
		}
		group = append(group, u)
	}
	flush()
	m.hold(list)
	return list
}

func size(group []unit) int {
	n := 0
	for _, u := range group {
		n += len(u.members)
	}
	return n
}

// apart reports units that never share a batch.
func (m *maker) apart(a, b unit) bool {
	x, y := a.members[0].plan, b.members[0].plan
	return x.Wave != y.Wave || a.action() != b.action() || slices.Contains(m.spec.Batch.GroupBy, groupByOwner) && a.owner() != b.owner()
}

// proposed reports a unit with a member that this run leaves alone, or that is
// in an open pull request.
func (m *maker) proposed(u unit) bool {
	return slices.ContainsFunc(u.members, func(d *draft) bool {
		if d.deferred || m.in.Ledger == nil {
			return d.deferred
		}
		w, known := m.in.Ledger.Workload(d.plan.ID)
		return known && w.State == fleet.StateProposed
	})
}

func (m *maker) batch(number int, group []unit) fleet.BatchPlan {
	action := group[0].action()
	b := fleet.BatchPlan{Number: number, Wave: group[0].members[0].plan.Wave, Action: action}
	var ids []fleet.ID
	var bases []string
	for _, u := range group {
		for _, d := range u.members {
			ids = append(ids, d.plan.ID)
			b.Workloads = append(b.Workloads, d.plan.ID.String())
			if d.plan.Action == fleet.ActionRebuild {
				bases = append(bases, d.base)
			}
		}
	}
	attempt := 0
	if m.in.Ledger != nil {
		attempt = m.in.Ledger.Attempt(ids)
	}
	b.Key = BatchKey(action, ids, m.target, bases, attempt)
	return b
}

// hold marks the batches of later waves: a wave waits until those before it
// are finished and have soaked. A rebuild waits for nobody: what it repairs does
// not start.
func (m *maker) hold(list []fleet.BatchPlan) {
	if len(m.spec.Batch.Waves) == 0 {
		return
	}
	for i, b := range list {
		if b.Action == fleet.ActionRebuild {
			continue
		}
		at := m.waveIndex(b.Wave)
		for _, w := range m.spec.Batch.Waves[:min(at, len(m.spec.Batch.Waves))] {
			if slices.ContainsFunc(list, func(o fleet.BatchPlan) bool { return o.Wave == w.Name }) {
				list[i].Held = fmt.Sprintf("wave %s is not all proposed yet", w.Name)
				break
			}
			if m.in.Ledger == nil {
				continue
			}
			if open := m.in.Ledger.WaveOpen(w.Name); open != "" {
				list[i].Held = fmt.Sprintf("wave %s has not soaked: %s", w.Name, open)
				break
			}
		}
	}
}
