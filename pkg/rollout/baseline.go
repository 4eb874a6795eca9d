package rollout

import (
	"slices"
	"strconv"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func itoa(n int) string { return strconv.Itoa(n) }

// BaselineOf is how the workload's own containers do now, over all its pods
// but those that are going; ignored containers are left out. Take it before
// the change is deployed.
func BaselineOf(o Observation, ignore []string) fleet.Baseline {
	b := fleet.Baseline{Taken: o.Taken, Containers: []fleet.ContainerBaseline{}}
	for _, name := range o.TemplateContainers {
		if slices.Contains(ignore, name) {
			continue
		}
		c := fleet.ContainerBaseline{Name: name, Ready: true}
		var ended time.Time
		for _, p := range o.Pods {
			i := slices.IndexFunc(p.Containers, func(c Container) bool { return c.Name == name })
			if i < 0 || ignored(p, time.Time{}) {
				continue
			}
			got := p.Containers[i]
			c.Pods++
			c.Ready = c.Ready && (got.Ready || got.Init && got.Terminated != nil && got.Terminated.ExitCode == 0)
			c.Restarts += got.Restarts
			c.Age = max(c.Age, o.Taken.Sub(p.Created))
			if got.Waiting != "" && got.Waiting != "ContainerCreating" && got.Waiting != "PodInitializing" {
				c.Waiting = got.Waiting
			}
			// Seen between two back-offs: a kubelet forgets a back-off after ten
			// minutes without a crash.
			if c.Waiting == "" && got.Restarts > 1 && got.Last != nil && o.Taken.Sub(got.Last.Finished) < 10*time.Minute {
				c.Waiting = "CrashLoopBackOff"
			}
			for _, t := range []*Termination{got.Last, got.Terminated} {
				if t != nil && !t.Finished.Before(ended) && (!got.Init || t.ExitCode != 0) {
					ended, c.ExitCode, c.Reason = t.Finished, t.ExitCode, t.Reason
				}
			}
		}
		c.Ready = c.Ready && c.Pods > 0 || c.Pods == 0
		b.Containers = append(b.Containers, c)
	}
	return b
}
