package cluster

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Update changes an object as a person or another controller would; change
// gets a copy of its JSON. It reports an object that is not there.
func (c *Cluster) Update(apiVersion, kind, namespace, name string, change func(o map[string]any)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	res := c.store.byKind(apiVersion, kind)
	old := c.store.get(res, namespace, name)
	if old == nil {
		return fmt.Errorf("updating %s %s/%s: not found", kind, namespace, name)
	}
	o := clone(old)
	change(o)
	c.store.put(res, o, c.options.Now())
	return nil
}

// Scale sets spec.replicas, as an autoscaler does.
func (c *Cluster) Scale(apiVersion, kind, namespace, name string, replicas int) error {
	return c.Update(apiVersion, kind, namespace, name, func(o map[string]any) {
		child(o, "spec")["replicas"] = int64(replicas)
	})
}

// Drain evicts every pod of a node: DisruptionTarget, then deletion. It
// returns how many.
func (c *Cluster) Drain(node string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, n := c.options.Now(), 0
	for _, p := range c.sim.pods {
		if p.node == node && p.deleted.IsZero() {
			p.disrupted = "EvictionByEvictionAPI"
			c.sim.kill(p, now)
			n++
		}
	}
	return n
}

// DeletePod deletes one pod; its controller makes another. It reports whether
// the pod was there.
func (c *Cluster) DeletePod(namespace, name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.sim.pods[namespace+"/"+name]
	if p != nil {
		c.sim.kill(p, c.options.Now())
	}
	return p != nil
}

// Evict fails a pod as a kubelet under pressure does; it stays as Failed until
// it is deleted, and its controller makes another.
func (c *Cluster) Evict(namespace, name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.sim.pods[namespace+"/"+name]
	if p == nil {
		return false
	}
	now := c.options.Now()
	p.phase, p.reason = corev1.PodFailed, "Evicted"
	p.readySince, p.notReadySince = p.deleted, now
	for _, k := range p.containers {
		k.due, k.ready = p.deleted, false
	}
	c.sim.save(p, now)
	return true
}
