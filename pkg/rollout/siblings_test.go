package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// sibling is a workload with one replica on a node, as Judge sees it.
func sibling(name, node string, change func(w *world)) Sibling {
	w := newWorld()
	w.o.ID.Name, w.o.Pods = name, w.o.Pods[:1]
	w.o.Pods[0].Name, w.o.Pods[0].Node = name+"-a", node
	if change != nil {
		change(w)
	}
	return Sibling{Observation: w.o, Verdict: Judge(w.o, w.e, w.b, w.at(w.now))}
}

func TestSiblingsShowThatANodeIsBad(t *testing.T) {
	t.Parallel()
	crash := func(w *world) { w.rolling(); w.crash("cart", 1, "Error", 2*time.Minute) }
	bad := func(name, node string) Sibling { return sibling(name, node, crash) }
	well := func(name, node string) Sibling { return sibling(name, node, nil) }
	rest := func(batch ...Sibling) []Sibling {
		return append(batch, well("c", "n2"), well("d", "n3"), well("e", "n2"))
	}
	laid := func(pod, revision string) Sibling {
		s := bad("a", "n1")
		s.Earlier = &Verdict{State: fleet.VerdictInconclusive, Reason: ReasonNode, Revision: revision, Since: zero(), Evidence: []fleet.Evidence{{Pod: pod, Container: "cart"}}}
		return s
	}
	for _, test := range []struct {
		name  string
		batch []Sibling
		want  string // names whose verdict becomes inconclusive(Node)
	}{
		{"several on one node, and others are well elsewhere", rest(bad("a", "n1"), bad("b", "n1")), "a b"},
		{"pulls that fail on one node", rest(sibling("a", "n1", func(w *world) { w.pull("cart", "ImagePullBackOff") }), bad("b", "n1")), "a b"},
		{"one alone may be bad itself", rest(bad("a", "n1")), ""},
		{"on two nodes they are bad themselves", rest(bad("a", "n1"), bad("b", "n4")), ""},
		{"a third elsewhere excuses nobody else's", rest(bad("a", "n1"), bad("b", "n1"), bad("f", "n4")), "a b"},
		{"a sibling that is well on the node clears it", rest(bad("a", "n1"), bad("b", "n1"), well("f", "n1")), ""},
		{"too few are well elsewhere: chance", []Sibling{bad("a", "n1"), bad("b", "n1"), well("c", "n2"), well("d", "n3")}, ""},
		{"of three, two that are well elsewhere suffice", []Sibling{bad("a", "n1"), bad("b", "n1"), bad("f", "n1"), well("c", "n2"), well("d", "n3")}, "a b f"},
		{"all fail, nobody is well", []Sibling{bad("a", "n1"), bad("b", "n1"), bad("c", "n1"), bad("d", "n1")}, ""},
		{"a workload that fails on two nodes is bad itself", rest(bad("a", "n1"), sibling("b", "n1", func(w *world) {
			w.o.Pods = newWorld().o.Pods
			crash(w)
		})), ""},
		{"nodes of two clusters are two, though named alike", func() []Sibling {
			batch := rest(bad("a", "n1"), bad("b", "n1"))
			batch[1].Observation.Cluster = "west"
			return batch
		}(), ""},
		{"pods on no known node are on none together", rest(bad("a", ""), bad("b", "")), ""},
		{"a refused sync is no node's", rest(bad("a", "n1"), sibling("b", "n1", func(w *world) {
			w.o.Sync.Phase, w.o.Sync.FailedObject = "Failed", true
		})), ""},
		{"what was laid to the node stays so when siblings have settled", []Sibling{laid("a-a", "h2")}, "a"},
		{"another pod of it that fails is news", []Sibling{laid("a-b", "h2")}, ""},
		{"so is another revision", []Sibling{laid("a-a", "h1")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := NodeTrouble(test.batch, []string{"filebeat"})
			var got []string
			for i, s := range test.batch {
				v, changed := found[i]
				if !changed {
					continue
				}
				got = append(got, s.Observation.ID.Name)
				if v.State != fleet.VerdictInconclusive || v.Reason != ReasonNode || v.Row != 10 || v.GatePassed || len(v.Evidence) == 0 ||
					!strings.Contains(v.Message, "node n1 ") || !strings.Contains(v.Message, s.Verdict.Reason) {
					t.Errorf("%s is %+v", s.Observation.ID.Name, v)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("laid to the node: %q, want %q", got, test.want)
			}
		})
	}
}
