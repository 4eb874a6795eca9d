package controlplane

import (
	"fmt"
	"strings"
	"time"
)

// Kind names how a pod fares.
type Kind string

// The kinds of fate. What KWOK cannot show: a kubelet's own back-off events and
// cadence, probes, images, a JVM, memory limits, volumes, the network.
const (
	Healthy Kind = ""
	// Crash runs without becoming ready, dies after Delay, and so on.
	Crash Kind = "crash"
	// LateCrash becomes ready, dies after Delay, then is like Crash.
	LateCrash Kind = "latecrash"
	// Once becomes ready, dies once after Delay, and is well from then on.
	Once Kind = "once"
	// ImagePull never gets its image.
	ImagePull Kind = "imagepull"
	// NotReady runs and never becomes ready.
	NotReady Kind = "notready"
	// JobFails ends a Job's pod with a failure; without it such a pod succeeds.
	JobFails Kind = "jobfails"
)

// Fate is what becomes of the pods of a template.
type Fate struct {
	Kind      Kind
	Container string // that it is about; required unless Healthy
	Reason    string // of a termination, default Error
	ExitCode  int    // default 1
	Delay     time.Duration
}

// annotations of a fate begin so.
const fate = "fate.test/"

// Annotations are what makes a pod template's pods share the fate.
func (f Fate) Annotations() map[string]string {
	if f.Kind == Healthy {
		return nil
	}
	if f.Reason == "" {
		f.Reason = "Error"
	}
	if f.ExitCode == 0 {
		f.ExitCode = 1
	}
	if f.Delay == 0 {
		f.Delay = time.Second
	}
	return map[string]string{
		fate + "kind": string(f.Kind), fate + "container": f.Container, fate + "reason": f.Reason,
		fate + "code": fmt.Sprint(f.ExitCode), fate + "delay": f.Delay.String(),
	}
}

// stage is one KWOK Stage.
type stage struct {
	name, kind string
	when       []string // "jq expression | operator | values"; without values for Exists and DoesNotExist
	delay      string   // a duration, or a jq expression that gives one
	status     string   // template of the status; empty: none
	event      string   // reason and message of a Warning, separated by ": "
	deletes    bool
}

// jq expressions on a pod: its fate, and the state of the container that the
// fate is about.
const (
	fateKind  = `.metadata.annotations["fate.test/kind"]`
	fateDelay = `.metadata.annotations["fate.test/delay"]`
	target    = `.metadata.annotations["fate.test/container"] as $c | .status.containerStatuses[]? | select(.name == $c) | `
	alive     = `.metadata.deletionTimestamp | DoesNotExist`
	ofJob     = `.metadata.ownerReferences[]?.kind`
)

// head of every pod's status template: what the fate says.
const head = `{{ $now := Now }}
{{ $a := or .metadata.annotations dict }}
{{ $c := or (index $a "fate.test/container") "" }}
{{ $end := dict "reason" (or (index $a "fate.test/reason") "Error") "exitCode" (atoi (or (index $a "fate.test/code") "1")) "finishedAt" $now "startedAt" $now }}
`

// started makes every container run; the one of the fate is ready as given.
func started(ready string) string {
	return head + `{{ $ready := ` + ready + ` }}
phase: Running
startTime: {{ $now | Quote }}
hostIP: 127.0.0.1
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
` + conditions("$ready") + `
initContainerStatuses:
{{ range .spec.initContainers }}
{{ if eq (default "" .restartPolicy) "Always" }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: {{ .image | Quote }}, ready: true, started: true, restartCount: 0, state: {running: {startedAt: {{ $now | Quote }}}}}
{{ else }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: {{ .image | Quote }}, ready: true, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}}
{{ end }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: {{ .image | Quote }}, ready: {{ or $ready (ne .name $c) }}, started: true, restartCount: 0, state: {running: {startedAt: {{ $now | Quote }}}}}
{{ end }}
`
}

func conditions(ready string) string {
	return `conditions:
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "{{ if ` + ready + ` }}True{{ else }}False{{ end }}", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "{{ if ` + ready + ` }}True{{ else }}False{{ end }}", lastTransitionTime: {{ $now | Quote }}}
`
}

// changed rewrites the status of the fate's container and keeps the others';
// the lists of containers are atomic.
func changed(ready, container string) string {
	return head + conditions(ready) + `
containerStatuses:
{{ range .status.containerStatuses }}
{{ if eq .name $c }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: {{ .image | Quote }}, ` + container + `}
{{ else }}
- {{ toJson . }}
{{ end }}
{{ end }}
`
}

const (
	died = `ready: false, started: false, restartCount: {{ .restartCount }}, lastState: {terminated: {{ toJson $end }}}, state: {waiting: {reason: CrashLoopBackOff, message: back-off restarting failed container}}`
	// A kubelet tells of the back-off when it begins one.
	backOff   = "BackOff: Back-off restarting failed container"
	restarted = `ready: false, started: true, restartCount: {{ add .restartCount 1 }}, lastState: {{ toJson .lastState }}, state: {running: {startedAt: {{ $now | Quote }}}}`
	recovered = `ready: true, started: true, restartCount: {{ add .restartCount 1 }}, lastState: {terminated: {{ toJson $end }}}, state: {running: {startedAt: {{ $now | Quote }}}}`
)

// pulling leaves one container without its image and runs the others.
func pulling(reason string) string {
	return head + conditions("false") + `
phase: Pending
startTime: {{ $now | Quote }}
hostIP: 127.0.0.1
containerStatuses:
{{ range .spec.containers }}
{{ if eq .name $c }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: "", ready: false, started: false, restartCount: 0, state: {waiting: {reason: ` + reason + `, message: {{ printf "failed to pull and unpack image %s: not found" .image | Quote }}}}}
{{ else }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: {{ .image | Quote }}, ready: true, started: true, restartCount: 0, state: {running: {startedAt: {{ $now | Quote }}}}}
{{ end }}
{{ end }}
`
}

// ended is the end of a Job's pod.
func ended(phase, code, reason string) string {
	return head + `phase: ` + phase + `
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: {{ .image | Quote }}, ready: false, started: false, restartCount: 0, state: {terminated: {exitCode: ` + code + `, reason: ` + reason + `, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}}
{{ end }}
`
}

const nodeStatus = `{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- {type: {{ .type | Quote }}, status: {{ .status | Quote }}, reason: {{ .reason | Quote }}, message: {{ .message | Quote }}, lastHeartbeatTime: {{ $now | Quote }}, lastTransitionTime: {{ $now | Quote }}}
{{ end }}
`

func stages() []stage {
	pending, running := `.status.phase | In | Pending`, `.status.phase | In | Running`
	isRunning := target + `.state.running.startedAt | Exists`
	waits := func(op, reasons string) string { return target + `.state.waiting.reason | ` + op + ` | ` + reasons }
	restarts := func(op string) string { return target + `.restartCount | tostring | ` + op + ` | 0` }
	return []stage{
		{
			name: "node-initialize", kind: "Node", when: []string{`.status.conditions[]? | select(.type == "Ready") | .status | NotIn | True`},
			status: nodeStatus + `
addresses: [{type: InternalIP, address: {{ NodeIP | Quote }}}, {type: Hostname, address: {{ NodeName | Quote }}}]
daemonEndpoints: {kubeletEndpoint: {Port: {{ NodePort }}}}
allocatable: {cpu: "64", memory: 256Gi, pods: "2000"}
capacity: {cpu: "64", memory: 256Gi, pods: "2000"}
phase: Running
`,
		},
		{
			name: "node-heartbeat", kind: "Node", delay: "20s", when: []string{`.status.conditions[]? | select(.type == "Ready") | .status | In | True`},
			status: nodeStatus,
		},
		{name: "pod-delete", kind: "Pod", when: []string{`.metadata.deletionTimestamp | Exists`}, deletes: true},
		{name: "pod-ready", kind: "Pod", when: []string{alive, pending, fateKind + ` | NotIn | imagepull,notready,crash`}, status: started("true")},
		{name: "pod-unready", kind: "Pod", when: []string{alive, pending, fateKind + ` | In | notready,crash`}, status: started("false")},
		{name: "pod-dies", kind: "Pod", delay: "1s", when: []string{alive, running, fateKind + ` | In | crash`, isRunning}, status: changed("false", died), event: backOff},
		{name: "pod-dies-late", kind: "Pod", delay: fateDelay, when: []string{alive, running, fateKind + ` | In | latecrash`, isRunning, restarts("In")}, status: changed("false", died), event: backOff},
		{name: "pod-dies-again", kind: "Pod", delay: "1s", when: []string{alive, running, fateKind + ` | In | latecrash`, isRunning, restarts("NotIn")}, status: changed("false", died), event: backOff},
		{
			name: "pod-restarts", kind: "Pod", delay: "2s", when: []string{alive, running, waits("In", "CrashLoopBackOff")},
			status: changed("false", restarted),
		},
		{name: "pod-restarts-once", kind: "Pod", delay: fateDelay, when: []string{alive, running, fateKind + ` | In | once`, isRunning, restarts("In")}, status: changed("true", recovered)},
		{
			name: "pod-pulls", kind: "Pod", when: []string{alive, pending, fateKind + ` | In | imagepull`, waits("NotIn", "ErrImagePull,ImagePullBackOff")},
			status: pulling("ErrImagePull"), event: "Failed: Failed to pull image",
		},
		{
			name: "pod-pulls-again", kind: "Pod", delay: "1s", when: []string{alive, pending, fateKind + ` | In | imagepull`, waits("In", "ErrImagePull")},
			status: pulling("ImagePullBackOff"), event: "Failed: Error: ImagePullBackOff",
		},
		{name: "job-completes", kind: "Pod", delay: "1s", when: []string{alive, running, ofJob + ` | In | Job`, fateKind + ` | NotIn | jobfails`}, status: ended("Succeeded", "0", "Completed")},
		{name: "job-fails", kind: "Pod", delay: "1s", when: []string{alive, running, ofJob + ` | In | Job`, fateKind + ` | In | jobfails`}, status: ended("Failed", "1", "Error")},
	}
}

// kwokConfig is KWOK's configuration: the stages, and one log for all.
func kwokConfig(log, previous string) string {
	var text strings.Builder
	for _, s := range stages() {
		text.WriteString(s.yaml())
	}
	fmt.Fprintf(&text, `apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata: {name: logs}
spec: {logs: [{logsFile: %q, previousLogsFile: %q}]}
`, log, previous)
	return text.String()
}

func (s stage) yaml() string {
	var text strings.Builder
	fmt.Fprintf(&text, "apiVersion: kwok.x-k8s.io/v1alpha1\nkind: Stage\nmetadata: {name: %s}\nspec:\n  resourceRef: {apiGroup: v1, kind: %s}\n  selector:\n    matchExpressions:\n", s.name, s.kind)
	for _, when := range s.when {
		parts := strings.Split(when, " | ")
		n := len(parts)
		if last := parts[n-1]; last == "Exists" || last == "DoesNotExist" {
			fmt.Fprintf(&text, "    - {key: %s, operator: %s}\n", quoted(strings.Join(parts[:n-1], " | ")), last)
			continue
		}
		fmt.Fprintf(&text, "    - key: %s\n      operator: %s\n      values: [%s]\n", quoted(strings.Join(parts[:n-2], " | ")), parts[n-2], `"`+strings.ReplaceAll(parts[n-1], ",", `", "`)+`"`)
	}
	switch {
	case strings.HasPrefix(s.delay, "."):
		fmt.Fprintf(&text, "  delay: {durationFrom: {expressionFrom: %s}}\n", quoted(s.delay))
	case s.delay != "":
		d, _ := time.ParseDuration(s.delay) // written above
		fmt.Fprintf(&text, "  delay: {durationMilliseconds: %d}\n", d.Milliseconds())
	}
	text.WriteString("  next:\n")
	if s.deletes {
		text.WriteString("    delete: true\n")
	}
	if reason, message, found := strings.Cut(s.event, ": "); found {
		fmt.Fprintf(&text, "    event: {type: Warning, reason: %s, message: %s}\n", reason, quoted(message))
	}
	if s.status != "" {
		text.WriteString("    patches:\n    - subresource: status\n      root: status\n      type: strategic\n      template: |\n")
		for line := range strings.Lines(s.status) {
			text.WriteString("        " + line)
		}
	}
	text.WriteString("---\n")
	return text.String()
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
