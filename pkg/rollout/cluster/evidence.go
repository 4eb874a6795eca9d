package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/rollout"
)

const (
	logLines = 40
	// logBytes is what a log request may answer. The API keeps the head of the
	// tail and drops the last lines, so it is well above forty usual lines.
	logBytes = 64 << 10
	// lineRunes cuts a line that nobody would read.
	lineRunes = 400
	maxEvents = 10
)

// Evidence adds the last log lines and the Warning events to each failing
// container of an observation: of the run that died first, else of the current
// one. Secrets are redacted. What is missing is left out: it changes no
// verdict. Events live an hour, so ask in the run that saw the failure.
func (c *Client) Evidence(ctx context.Context, o rollout.Observation, failing []fleet.Evidence) []fleet.Evidence {
	filled := slices.Clone(failing)
	t := c.target(o.Cluster)
	if t == nil {
		return filled
	}
	namespace := cmp.Or(o.ID.Namespace, o.Namespace)
	for i := range filled {
		e := &filled[i]
		if len(e.Log) == 0 {
			e.Log = c.log(ctx, t, namespace, e.Pod, e.Container)
		}
		at := slices.IndexFunc(o.Pods, func(p rollout.Pod) bool { return p.Name == e.Pod })
		if len(e.Events) == 0 && at >= 0 {
			e.Events = c.events(ctx, t, namespace, o.Pods[at].UID)
		}
	}
	return filled
}

func (c *Client) log(ctx context.Context, t *target, namespace, pod, container string) []string {
	lines, bytes := int64(logLines), int64(logBytes)
	for _, previous := range []bool{true, false} {
		data, err := t.typed.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{
			Container: container, Previous: previous, TailLines: &lines, LimitBytes: &bytes,
		}).DoRaw(ctx)
		if err != nil {
			c.options.Log.DebugContext(ctx, "read no log", "pod", pod, "container", container, "previous", previous, "error", err)
			continue
		}
		if text := strings.TrimRight(string(data), "\n"); text != "" {
			return tidy(strings.Split(text, "\n"))
		}
	}
	return nil
}

func (c *Client) events(ctx context.Context, t *target, namespace, uid string) []string {
	list, err := t.typed.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.uid=" + uid + ",type=" + corev1.EventTypeWarning, Limit: pageSize,
	})
	if err != nil {
		c.options.Log.DebugContext(ctx, "read no events", "uid", uid, "error", err)
		return nil
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	var lines []string
	for _, e := range list.Items[max(0, len(list.Items)-maxEvents):] {
		line := e.Reason + ": " + e.Message
		if e.Count > 1 {
			line += fmt.Sprintf(" (%d times)", e.Count)
		}
		lines = append(lines, line)
	}
	return tidy(lines)
}

// tidy keeps the last lines, cuts long ones, drops control characters and
// hides secrets.
func tidy(lines []string) []string {
	lines = lines[max(0, len(lines)-logLines):]
	plain := make([]string, len(lines))
	for i, line := range lines {
		plain[i] = strings.ToValidUTF8(strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f {
				return -1
			}
			return r
		}, line), "\uFFFD")
	}
	tidied := javaagent.RedactLines(plain)
	for i, line := range tidied {
		if runes := []rune(line); len(runes) > lineRunes {
			tidied[i] = string(runes[:lineRunes]) + "…"
		}
	}
	return tidied
}

// clean is what a cluster said, fit for a verdict: one line, not long, without
// what looks like a secret.
func clean(text string) string {
	line := []rune(strings.Join(tidy(strings.Split(strings.TrimSpace(text), "\n")), " "))
	return string(line[:min(len(line), 3*lineRunes)])
}
