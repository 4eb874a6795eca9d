package cluster

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelshift/otelshift/pkg/fleet"
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
// redacts.
func tidy(lines []string) []string {
	lines = lines[max(0, len(lines)-logLines):]
	tidied := make([]string, len(lines))
	inKey := false
	for i, line := range lines {
		line = strings.ToValidUTF8(strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f {
				return -1
			}
			return r
		}, line), "\uFFFD")
		switch {
		case strings.Contains(line, "-----BEGIN") && strings.Contains(line, "PRIVATE KEY"):
			inKey = true
			line = redacted
		case inKey:
			inKey = !strings.Contains(line, "-----END")
			line = redacted
		}
		line = redact(line)
		if runes := []rune(line); len(runes) > lineRunes {
			line = string(runes[:lineRunes]) + "…"
		}
		tidied[i] = line
	}
	return tidied
}

const redacted = "[redacted]"

// What looks like a secret: assignments to secret-looking keys, credentials in
// URLs, bearer and basic headers, tokens of well-known shapes.
var (
	secretPair   = regexp.MustCompile(`(?i)([\w.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|authentication)[\w.-]*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&"']+)`)
	secretHeader = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic|digest|token)\s+)?|bearer\s+)[A-Za-z0-9._~+/=-]{6,}`)
	secretURL    = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@]*:)[^\s/@]+@`)
	secretShape  = regexp.MustCompile(`\b(?:eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,})`)
)

// redact hides what looks like a secret.
func redact(line string) string {
	line = secretHeader.ReplaceAllString(line, "${1}"+redacted)
	line = secretURL.ReplaceAllString(line, "${1}"+redacted+"@")
	line = secretPair.ReplaceAllString(line, "${1}"+redacted)
	return secretShape.ReplaceAllString(line, redacted)
}
