package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// situation is what is known of a workload's agents.
type situation struct {
	skyWalking map[string][]fleet.Load      // flags in the manifest, by container
	image      map[string][]fleet.ImageLoad // flags in the image, by container
	ours       map[string][]fleet.Load      // OpenTelemetry flags, by container
	built      map[string]fleet.ImageInfo   // images of ours, by container, that load the agent themselves
	injected   *fleet.Load                  // SWCK's label
	swck       *swck                        // what SWCK does then
	agents     []fleet.InitAgent            // init containers that bring SkyWalking
}

func (s situation) loads() bool {
	return len(s.skyWalking) > 0 || len(s.image) > 0 || s.injected != nil
}

// look sorts the loads of the workload, those that its images were seen to have
// included.
func (m *maker) look(d *draft) situation {
	s := situation{skyWalking: map[string][]fleet.Load{}, image: map[string][]fleet.ImageLoad{}, ours: map[string][]fleet.Load{}, built: map[string]fleet.ImageInfo{}}
	w := d.w
	for _, l := range w.Loads {
		name := l.Container
		if name == "" {
			name = firstContainer(w)
		}
		c := d.of(name)
		c.Loads = append(c.Loads, l)
		switch {
		case isSkyWalking(l) && l.Via == fleet.ViaSWCK:
			s.injected = &l
		case isSkyWalking(l) && l.Via != fleet.ViaInitContainer:
			s.skyWalking[name] = append(s.skyWalking[name], l)
		case isOpenTelemetry(l) && l.Via != fleet.ViaInitContainer:
			s.ours[name] = append(s.ours[name], l)
		}
	}
	for _, c := range w.Containers {
		info, read := m.in.Inspected[c.Image.Text]
		if !read || !c.Image.Set() {
			continue
		}
		for _, l := range imageLoads(c, info.Loads, javaagent.SkyWalking) {
			s.image[c.Name] = append(s.image[c.Name], l)
			planned := d.of(c.Name)
			planned.Loads = append(planned.Loads, fleet.Load{
				Container: c.Name, Agent: l.Agent, Via: fleet.ViaImage, Name: l.Where, Place: c.Image.Place, Jar: l.Jar,
			})
		}
		if len(s.ours[c.Name]) == 0 && loadsOurs(c, info) {
			s.built[c.Name] = info
		}
	}
	if s.injected != nil {
		s.swck = m.swck(w)
	}
	for _, a := range w.InitAgents {
		if a.Agent != javaagent.OpenTelemetry && !m.leaves(d, a) {
			s.agents = append(s.agents, a)
		}
	}
	return s
}

// idle reports that the init containers of SkyWalking's bring what nothing needs:
// whoever mounts their volumes loads our agent.
func (s situation) idle() bool {
	return len(s.ours) > 0 && !slices.ContainsFunc(s.agents, func(a fleet.InitAgent) bool {
		return len(a.AppMounts) == 0 || slices.ContainsFunc(a.AppMounts, func(u fleet.AppMount) bool { return len(s.ours[u.Container]) == 0 })
	})
}

// leaves reports an agent of Helm values that cannot be taken out of them, where
// it is not to be replaced in kind: it goes on copying what nothing loads.
func (m *maker) leaves(d *draft, a fleet.InitAgent) bool {
	inKind := m.spec.Delivery == string(fleet.DeliveryInitContainer) || m.spec.Delivery == string(fleet.DeliveryAuto)
	if !a.Kept || inKind && slices.ContainsFunc(a.AppMounts, func(u fleet.AppMount) bool { return u.Jar != "" }) {
		return false
	}
	advice := fmt.Sprintf("take it out by hand, with volume %s and its mounts", a.Volume)
	if at := a.Image.At; at != nil && len(at.Users) > 1 {
		advice = fmt.Sprintf("take it out by hand, with volume %s and its mounts, once none of the %d workloads needs it whose values bring it", a.Volume, len(at.Users))
	}
	d.warn(fleet.CodeLeftover, a.Image.Place, fmt.Sprintf("init container %s goes on copying SkyWalking's agent, which this workload does not load any more: the Helm values do not do without it by themselves, so %s",
		a.Container, advice))
	return true
}

// overridden reports that the manifest's command takes the place of the part
// of the image that loads the agent.
func overridden(c fleet.Container, l fleet.ImageLoad) bool {
	if strings.HasPrefix(l.Where, "Entrypoint") {
		return len(c.Command) > 0
	}
	if strings.HasPrefix(l.Where, "Cmd") {
		return len(c.Command)+len(c.Args) > 0
	}
	return false
}

func firstContainer(w fleet.Workload) string {
	for _, c := range w.Containers {
		if !c.Init {
			return c.Name
		}
	}
	return ""
}

// workload plans one workload; nil: it loads no agent, so it is only counted.
func (m *maker) workload(w fleet.Workload) *draft {
	d := newDraft(w)
	d.apart = m.sharing[w.ID]
	d.plan.Wave = m.waveOf(w)
	s := m.look(d)
	skip := m.skipped(w)
	switch {
	case s.loads() || len(s.agents) > 0 && !s.idle():
		if skip != nil {
			d.plan.Action, d.plan.Reason = fleet.ActionSkip, skip
			return d
		}
		d.plan.Action = fleet.ActionMigrate
		switch {
		case w.Blocked != nil:
			d.block(w.Blocked.Code, w.Blocked.Place, w.Blocked.Message)
		case !s.loads():
			m.unseenFlag(d, s)
		default:
			m.migrate(d, s)
		}
		m.outlook(d, s)
	case len(s.ours)+len(s.built) > 0:
		switch {
		case skip == nil:
			m.current(d, s)
		case m.mine(w, s):
			d.plan.Action, d.plan.Reason = fleet.ActionSkip, skip
			return d
		default:
			return nil // somebody else's agent, and not selected
		}
	case m.unasked(d, skip):
		if skip != nil {
			d.plan.Action, d.plan.Reason = fleet.ActionSkip, skip
			return d
		}
	case len(w.Signs) > 0:
		if skip != nil || !m.unread(d) {
			return nil
		}
	default:
		return nil
	}
	m.policy(d)
	d.settleWave(m)
	return d
}

// settleWave moves the workload to the last wave that its changes touch. A file
// that no wave takes moves nothing.
func (d *draft) settleWave(m *maker) {
	for _, c := range d.plan.Changes {
		if c.Field == "" {
			continue // an Instrumentation that all waves share
		}
		if wave := m.wave(c.File); wave != "" && (m.waveIndex(wave) > m.waveIndex(d.plan.Wave) || d.plan.Wave == "") {
			d.plan.Wave = wave
		}
	}
}

// unseenFlag: an init container brings SkyWalking, and nothing in the manifest
// loads it. Only the image can.
func (m *maker) unseenFlag(d *draft, s situation) {
	agent := s.agents[0]
	at := agent.Image.Place
	if e, c, ok := secretOptions(d.w); ok {
		d.block(fleet.CodeSecret, e.Place, fmt.Sprintf("init container %s brings SkyWalking, and %s of container %s comes from Secret %s, which is not read: "+
			"move the agent's flag out of the Secret", agent.Container, e.Name, c, e.From.Name))
		return
	}
	refs := m.images(d.w, agent)
	for _, ref := range refs {
		if err := m.in.Failed[ref]; err != nil {
			d.block(fleet.CodeImageUnread, at, fmt.Sprintf("init container %s brings SkyWalking, and the image %s that loads it cannot be read: %v", agent.Container, ref, err))
			return
		}
		if _, read := m.in.Inspected[ref]; !read {
			d.block(fleet.CodeImageUnread, at, fmt.Sprintf("init container %s brings SkyWalking; what loads it is in the image %s, which was not asked", agent.Container, ref))
			return
		}
	}
	d.block(fleet.CodeScript, at, fmt.Sprintf("init container %s brings SkyWalking, and nothing was found that loads it: neither the manifest nor the image's "+
		"environment, entrypoint or start script", agent.Container))
}

// images are the images of the containers that share the agent's volume.
func (m *maker) images(w fleet.Workload, agent fleet.InitAgent) []string {
	var refs []string
	for _, app := range agent.AppMounts {
		for _, c := range w.Containers {
			if c.Name == app.Container && c.Image.Set() && m.chosen(c.Name) && !slices.Contains(refs, c.Image.Text) {
				refs = append(refs, c.Image.Text)
			}
		}
	}
	return refs
}

// secretOptions finds a variable for JVM options that comes from a Secret.
func secretOptions(w fleet.Workload) (e fleet.Env, container string, found bool) {
	for _, c := range w.Containers {
		for _, e := range c.Env {
			if e.From != nil && e.From.Kind == "secretKeyRef" && optionVariable(e.Name) {
				return e, c.Name, true
			}
		}
	}
	return fleet.Env{}, "", false
}

// optionVariable reports a name that start scripts pass to the JVM.
func optionVariable(name string) bool {
	return strings.HasSuffix(name, "_OPTS") || strings.HasSuffix(name, "_OPTIONS") || strings.HasPrefix(name, "JAVA_") || strings.HasSuffix(name, "_ARGS")
}

// unread: signs that prove nothing. It reports whether the workload is worth a
// row.
func (m *maker) unread(d *draft) bool {
	sign := d.w.Signs[0]
	if e, c, ok := secretOptions(d.w); ok {
		d.plan.Action = fleet.ActionMigrate
		d.block(fleet.CodeSecret, e.Place, fmt.Sprintf("it has signs of SkyWalking (%s), and %s of container %s comes from Secret %s, which is not read: "+
			"move the agent's flag out of the Secret", sign.Name, e.Name, c, e.From.Name))
		return true
	}
	message := ""
	for _, ref := range m.signed(d.w) {
		err := m.in.Failed[ref]
		_, read := m.in.Inspected[ref]
		switch {
		case err != nil:
			message = fmt.Sprintf("only the image %s can tell whether SkyWalking is loaded, and it cannot be read: %v", ref, err)
		case !read:
			message = fmt.Sprintf("%s is set; only the image %s can tell whether the Java agent is loaded, and it was not asked", sign.Name, ref)
		}
	}
	if message == "" {
		return false // every image was read: no Java agent
	}
	d.plan.Action = fleet.ActionUnread
	d.plan.Reason = &fleet.Reason{Code: fleet.CodeImageUnread, Message: message, Place: sign.Place}
	return true
}

// signed are the images of the containers that carry signs.
func (m *maker) signed(w fleet.Workload) []string {
	var refs []string
	for _, c := range w.Containers {
		signed := slices.ContainsFunc(w.Signs, func(l fleet.Load) bool { return l.Container == c.Name || l.Container == "" })
		if signed && c.Image.Set() && m.chosen(c.Name) && !slices.Contains(refs, c.Image.Text) {
			refs = append(refs, c.Image.Text)
		}
	}
	return refs
}

// Unread are the image references that the registry should be asked about
// before the plan is complete, sorted: what "image.inspect" allows.
func Unread(in Input, p fleet.Plan) []string {
	inspect := in.Config.Spec.Image.Inspect
	if in.Offline || inspect == "none" {
		return nil
	}
	m := &maker{in: in, spec: in.Config.Spec}
	tag, err := fleet.ParseTagTemplate(in.Config.Spec.Image.Tag)
	var refs []string
	for _, w := range in.Scan.Workloads {
		if m.skipped(w) != nil {
			continue
		}
		if err == nil {
			refs = append(refs, m.bareBuilds(w, tag)...)
		}
		planned, listed := p.Workload(w.ID)
		unread := listed && planned.Reason != nil && planned.Reason.Code == fleet.CodeImageUnread
		switch {
		case unread && planned.Action == fleet.ActionUnread:
			refs = append(refs, m.signed(w)...)
		case unread && planned.Action == fleet.ActionBlocked:
			for _, a := range w.InitAgents {
				refs = append(refs, m.images(w, a)...)
			}
		case inspect == "all":
			for _, c := range w.Containers {
				if c.Image.Set() && m.chosen(c.Name) {
					refs = append(refs, c.Image.Text)
				}
			}
		}
	}
	slices.Sort(refs)
	refs = slices.Compact(refs)
	return slices.DeleteFunc(refs, func(ref string) bool {
		_, read := in.Inspected[ref]
		return read || in.Failed[ref] != nil
	})
}

// Images are the references of all images that the manifests deploy, each once
// and sorted; those of containers that are never looked at are left out.
func Images(in Input) []string {
	m := &maker{in: in, spec: in.Config.Spec}
	var refs []string
	for _, w := range in.Scan.Workloads {
		for _, c := range w.Containers {
			if c.Image.Text != "" && !m.ignored(c.Name) {
				refs = append(refs, c.Image.Text)
			}
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// bareBuilds are images of ours, by their tag, in containers whose flag is not
// in the manifest: it is in the image, and only the image tells whether it is
// at the target.
func (m *maker) bareBuilds(w fleet.Workload, tag fleet.TagTemplate) []string {
	var refs []string
	for _, c := range w.Containers {
		if !c.Image.Set() || !m.chosen(c.Name) || slices.ContainsFunc(w.Loads, func(l fleet.Load) bool { return l.Container == c.Name || l.Container == "" }) {
			continue
		}
		ref, err := fleet.ParseImageRef(c.Image.Text)
		if err != nil {
			continue
		}
		if _, _, ours := tag.Match(ref.Tag); ours {
			refs = append(refs, c.Image.Text)
		}
	}
	return refs
}

// unasked plans a workload with an image of ours, its flag unseen, that no
// registry was asked about: as far as its tag tells.
func (m *maker) unasked(d *draft, skip *fleet.Reason) bool {
	for _, text := range m.bareBuilds(d.w, m.tag) {
		if _, read := m.in.Inspected[text]; read {
			continue
		}
		d.plan.Action, d.plan.Delivery = fleet.ActionNone, fleet.DeliveryImage
		ref, err := fleet.ParseImageRef(text)
		if err != nil || skip != nil || m.in.Payload.Digest == "" || m.tag.Carries(ref.Tag, m.in.Payload) {
			return true
		}
		d.plan.Action = fleet.ActionUnread
		d.plan.Reason = &fleet.Reason{Code: fleet.CodeImageUnread, Place: d.w.Place, Message: fmt.Sprintf("the image %s has an earlier agent, and its own options were not asked", text)}
		if failed := m.in.Failed[text]; failed != nil {
			d.plan.Reason.Message = fmt.Sprintf("the image %s has an earlier agent, and cannot be read: %v", text, failed)
		}
		return true
	}
	return false
}

// policy is what people decided about the workload before.
func (m *maker) policy(d *draft) {
	if reason, refused := m.in.Refused[d.plan.ID]; refused && d.plan.Action.Changes() {
		if reason.Code == fleet.CodeUnobserved {
			// Not this run: the cluster could not be asked how it does now.
			d.deferred = true
			d.warn(reason.Code, reason.Place, reason.Message)
			return
		}
		d.block(reason.Code, reason.Place, reason.Message)
		return
	}
	if m.in.Ledger == nil || !d.plan.Action.Changes() {
		return
	}
	was, known := m.in.Ledger.Workload(d.plan.ID)
	if !known {
		return
	}
	retry := fmt.Sprintf("the label %s on pull request #%d proposes it again", fleet.LabelRetry, was.PullRequest.Number)
	if was.Skipped || was.PullRequest.Number == 0 {
		retry = "its box in the control issue proposes it again"
	}
	switch was.State {
	case fleet.StateReverted:
		d.block(fleet.CodeQuarantined, d.w.Place, was.Reason+"; "+retry)
	case fleet.StateDeclined:
		d.block(fleet.CodeDeclined, d.w.Place, was.Reason+"; "+retry)
	case fleet.StatePending, fleet.StateProposed, fleet.StateSkipped, fleet.StateBlocked, fleet.StateUnread:
	case fleet.StateCurrent:
		if d.plan.Action != fleet.ActionRebuild && was.Record.Action == d.plan.Action {
			d.block(fleet.CodeDeclined, d.w.Place, fmt.Sprintf("batch %d brought it to this target, and somebody changed it back since; %s", was.Batch, retry))
		}
	case fleet.StateMerged, fleet.StateSoaking, fleet.StateVerified, fleet.StateFailed, fleet.StateReverting, fleet.StateNotCausedByUs,
		fleet.StateInconclusive, fleet.StateNeedsHuman, fleet.StateUnknown:
		if was.Target == m.target && d.plan.Action != fleet.ActionRebuild && was.Record.Action == d.plan.Action && !was.Retried {
			d.block(fleet.CodeDeclined, d.w.Place, fmt.Sprintf("pull request #%d changed it, and somebody changed it back since; %s", was.PullRequest.Number, retry))
		}
	}
}

// target is what javaagent brings a container to.
func (m *maker) targetOf(w fleet.Workload, jar string) javaagent.Target {
	o := m.spec.Options
	t := javaagent.Target{
		Version: m.spec.Agent.Version, Jar: jar, Endpoint: o.Endpoint, Protocol: o.Protocol, ServiceName: o.ServiceName,
		Add: slices.Clone(o.Add), Remove: slices.Clone(o.Remove), AllowLost: o.AllowLost, Collector: o.Collector, Code: o.Code,
		Placement: o.Placement, Keep: !o.Cleanup,
	}
	for _, override := range o.Overrides {
		if !overrides(override.Match, w) {
			continue
		}
		t.Add = append(t.Add, override.Add...)
		t.Remove = append(t.Remove, override.Remove...)
		if override.ServiceName != "" {
			t.ServiceName = override.ServiceName
		}
	}
	if m.sharing[w.ID] && t.Placement != "env" {
		t.Placement = javaagent.PlacementOwn
	}
	t.Injected = m.byOperator()
	return t
}

// overrides reports that everything which the match sets is true of the
// workload.
func overrides(match config.Match, w fleet.Workload) bool {
	if match.Namespace != "" && !matches(match.Namespace, w.ID.Namespace) || match.Name != "" && !matches(match.Name, w.ID.Name) {
		return false
	}
	all := labels(w)
	for key, value := range match.Labels {
		if all[key] != value {
			return false
		}
	}
	return true
}

// subject is what templates and names are made of. Where several workloads take
// the flag from one place (overlays of one base, each with its own tag) it has
// no image tag: a version could not be written there.
func (m *maker) subject(w fleet.Workload, c fleet.Container, flag fleet.Value) javaagent.Workload {
	all := labels(w)
	s := javaagent.Workload{Name: w.ID.Name, Namespace: w.ID.Namespace, Label: all[m.spec.Workloads.NameLabel], Labels: all}
	if release(w) && len(w.Containers) > 1 {
		s.Name = c.Name // several components of one set of values
	}
	if flag.At != nil && len(flag.At.Users) > 1 || sharesFlag(w, c, flag) {
		return s
	}
	if ref, err := fleet.ParseImageRef(c.Image.Text); err == nil {
		// What the rebuilt image's tag is made of, so that an upgrade finds the
		// same version again.
		s.ImageTag = m.tag.Base(ref.TagName())
		if s.ImageTag == "latest" {
			s.ImageTag = "" // it names no version
		}
	}
	return s
}

// sharesFlag reports that another container of the workload, with another image,
// loads the agent from the same place.
func sharesFlag(w fleet.Workload, c fleet.Container, flag fleet.Value) bool {
	return flag.Set() && slices.ContainsFunc(w.Loads, func(l fleet.Load) bool {
		return l.Container != c.Name && l.Value.Place == flag.Place && slices.ContainsFunc(w.Containers, func(o fleet.Container) bool {
			return o.Name == l.Container && o.Image.Text != c.Image.Text
		})
	})
}

// imageJar is where rebuilt images have the agent.
func (m *maker) imageJar() string { return path.Join(m.spec.Agent.Directory, jarName) }
