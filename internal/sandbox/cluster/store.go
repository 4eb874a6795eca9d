package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// object is a Kubernetes object as JSON; numbers are int64 or float64.
type object = map[string]any

// resource is a kind of object that the API serves.
type resource struct {
	Group, Version, Plural, Kind string
	Cluster                      bool // not in a namespace
}

func (r resource) apiVersion() string {
	if r.Group == "" {
		return r.Version
	}
	return r.Group + "/" + r.Version
}

// resources that are served from the start; the syncer adds what it meets.
func builtin() []resource {
	return []resource{
		{"", "v1", "namespaces", "Namespace", true},
		{"", "v1", "nodes", "Node", true},
		{"", "v1", "pods", "Pod", false},
		{"", "v1", "events", "Event", false},
		{"", "v1", "configmaps", "ConfigMap", false},
		{"", "v1", "secrets", "Secret", false},
		{"", "v1", "services", "Service", false},
		{"", "v1", "serviceaccounts", "ServiceAccount", false},
		{"apps", "v1", "deployments", "Deployment", false},
		{"apps", "v1", "statefulsets", "StatefulSet", false},
		{"apps", "v1", "daemonsets", "DaemonSet", false},
		{"apps", "v1", "replicasets", "ReplicaSet", false},
		{"apps", "v1", "controllerrevisions", "ControllerRevision", false},
		{"batch", "v1", "jobs", "Job", false},
		{"batch", "v1", "cronjobs", "CronJob", false},
		{"argoproj.io", "v1alpha1", "applications", "Application", false},
		{"argoproj.io", "v1alpha1", "rollouts", "Rollout", false},
		{"apps.kruise.io", "v1alpha1", "clonesets", "CloneSet", false},
	}
}

// key is an object's place in the store.
type key struct{ Plural, Group, Namespace, Name string }

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// store holds objects. It is guarded by Cluster.mu.
type store struct {
	name      string
	resources []resource
	objects   map[string]map[key]object // by group/plural
	version   int64                     // resourceVersion of the last write
	uids      int64
}

func newStore(name string) *store {
	return &store{name: name, resources: builtin(), objects: map[string]map[key]object{}}
}

func (s *store) byKind(apiVersion, kind string) resource {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	for _, r := range s.resources {
		if r.Kind == kind && r.Group == group {
			return r
		}
	}
	plural := strings.ToLower(kind) + "s"
	if strings.HasSuffix(kind, "y") {
		plural = strings.ToLower(strings.TrimSuffix(kind, "y")) + "ies"
	}
	r := resource{Group: group, Version: version, Plural: plural, Kind: kind, Cluster: strings.HasPrefix(kind, "Cluster")}
	s.resources = append(s.resources, r)
	return r
}

func (s *store) byPlural(group, version, plural string) (resource, bool) {
	for _, r := range s.resources {
		if r.Group == group && r.Version == version && r.Plural == plural {
			return r, true
		}
	}
	return resource{}, false
}

func (s *store) get(r resource, namespace, name string) object {
	return s.objects[r.Group+"/"+r.Plural][key{r.Plural, r.Group, namespace, name}]
}

// list returns the objects of a resource, of one namespace or of all, in
// order.
func (s *store) list(r resource, namespace string) []object {
	all := s.objects[r.Group+"/"+r.Plural]
	keys := make([]key, 0, len(all))
	for k := range all {
		if namespace == "" || k.Namespace == namespace {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, key.compare)
	found := make([]object, len(keys))
	for i, k := range keys {
		found[i] = all[k]
	}
	return found
}

// put writes an object, completing apiVersion, kind, uid, resourceVersion and
// creationTimestamp, and generation where spec changed.
func (s *store) put(r resource, o object, now time.Time) {
	s.version++
	meta := child(o, "metadata")
	old := s.get(r, str(meta, "namespace"), str(meta, "name"))
	o["apiVersion"], o["kind"] = r.apiVersion(), r.Kind
	meta["resourceVersion"] = strconv.FormatInt(s.version, 10)
	if old == nil {
		if str(meta, "uid") == "" {
			meta["uid"] = s.uid()
		}
		if str(meta, "creationTimestamp") == "" {
			meta["creationTimestamp"] = stamp(now)
		}
		if _, has := o["spec"]; has {
			meta["generation"] = int64(1)
		}
	} else {
		was := child(old, "metadata")
		meta["uid"], meta["creationTimestamp"] = was["uid"], was["creationTimestamp"]
		if generation, has := was["generation"]; has {
			meta["generation"] = generation
			if !same(old["spec"], o["spec"]) {
				meta["generation"] = number(generation) + 1
			}
		}
	}
	bucket := r.Group + "/" + r.Plural
	if s.objects[bucket] == nil {
		s.objects[bucket] = map[key]object{}
	}
	s.objects[bucket][key{r.Plural, r.Group, str(meta, "namespace"), str(meta, "name")}] = o
}

func (s *store) remove(r resource, namespace, name string) {
	s.version++
	delete(s.objects[r.Group+"/"+r.Plural], key{r.Plural, r.Group, namespace, name})
}

// uid makes the next UUID-shaped identifier: the same run makes the same.
func (s *store) uid() string {
	s.uids++
	sum := sha256.Sum256([]byte(s.name + strconv.FormatInt(s.uids, 10)))
	text := hex.EncodeToString(sum[:16])
	return fmt.Sprintf("%s-%s-4%s-a%s-%s", text[:8], text[8:12], text[13:16], text[17:20], text[20:])
}

// suffix is n characters of the alphabet that Kubernetes uses for names.
func suffix(seed string, n int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	sum := sha256.Sum256([]byte(seed))
	name := make([]byte, n)
	for i := range name {
		name[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(name)
}

// stamp is metav1.Time's form: whole seconds, UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// child returns the object at the path, making it where it is missing.
func child(o object, path ...string) object {
	for _, name := range path {
		next, ok := o[name].(object)
		if !ok {
			next = object{}
			o[name] = next
		}
		o = next
	}
	return o
}

// look returns what is at the path, or nil.
func look(o object, path ...string) any {
	var value any = o
	for _, name := range path {
		m, ok := value.(object)
		if !ok {
			return nil
		}
		value = m[name]
	}
	return value
}

func str(o object, path ...string) string {
	text, _ := look(o, path...).(string)
	return text
}

func number(value any) int64 {
	switch n := value.(type) {
	case int64:
		return n
	case int:
		return int64(n)
	case float64:
		return int64(n)
	}
	return 0
}

// same compares by JSON.
func same(a, b any) bool { return encode(a) == encode(b) }

func encode(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // objects hold JSON values only
	}
	return string(data)
}

// toObject turns an API type into JSON.
func toObject(value any) object {
	var o object
	if err := utiljson.Unmarshal([]byte(encode(value)), &o); err != nil {
		panic(err) // the encoder's own output
	}
	return o
}

// clone copies an object.
func clone(o object) object { return toObject(o) }
