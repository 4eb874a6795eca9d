package cluster

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// Request is one request that the API answered.
type Request struct {
	User, Verb, Group, Resource, Namespace, Name string
	Query                                        string
	Status                                       int
	Bytes                                        int // of the response's body
}

// Failure is an answer that a scenario injects. Hang holds the request until
// its client gives up.
type Failure struct {
	Status  int
	Reason  string // metav1.StatusReason, such as "Forbidden"
	Message string
	Hang    bool
}

// attributes of a request, as authorization sees them.
type attributes struct {
	user, verb, group, version, resource, subresource, namespace, name string
	path                                                               string
}

// ServeHTTP answers the Kubernetes API.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	counted := &countingWriter{ResponseWriter: w, status: http.StatusOK}
	a := parseRequest(r)
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests = append(c.requests, Request{
			User: a.user, Verb: a.verb, Group: a.group, Resource: strings.TrimSuffix(a.resource+"/"+a.subresource, "/"),
			Namespace: a.namespace, Name: a.name, Query: r.URL.RawQuery, Status: counted.status, Bytes: counted.bytes,
		})
	}()
	user, ok := c.authenticate(r)
	a.user = user
	if !ok {
		fail(counted, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
		return
	}
	if f := c.failure(a); f != nil {
		if f.Hang {
			<-r.Context().Done()
			return
		}
		fail(counted, f.Status, f.Reason, f.Message)
		return
	}
	if a.resource == "" {
		c.discover(counted, a.path)
		return
	}
	if !c.authorize(a) {
		fail(counted, http.StatusForbidden, "Forbidden", fmt.Sprintf("%s %q is forbidden: User %q cannot %s resource %q in API group %q in the namespace %q",
			a.resource, a.name, a.user, a.verb, strings.TrimSuffix(a.resource+"/"+a.subresource, "/"), a.group, a.namespace))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serve(counted, r, a)
}

type countingWriter struct {
	http.ResponseWriter
	status, bytes int
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.bytes += len(p)
	return w.ResponseWriter.Write(p)
}

// parseRequest reads /api/v1/… and /apis/GROUP/VERSION/… paths.
func parseRequest(r *http.Request) attributes {
	a := attributes{path: strings.Trim(r.URL.Path, "/")}
	parts := strings.Split(a.path, "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		a.version, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		a.group, a.version, parts = parts[1], parts[2], parts[3:]
	default:
		return a
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		a.namespace, parts = parts[1], parts[2:]
	}
	a.resource = parts[0]
	if len(parts) > 1 {
		a.name = parts[1]
	}
	if len(parts) > 2 {
		a.subresource = parts[2]
	}
	watch := r.URL.Query().Get("watch")
	switch {
	case watch == "true" || watch == "1":
		a.verb = "watch"
	case r.Method == http.MethodGet && a.name == "":
		a.verb = "list"
	case r.Method == http.MethodGet:
		a.verb = "get"
	case r.Method == http.MethodPost:
		a.verb = "create"
	case r.Method == http.MethodPut:
		a.verb = "update"
	case r.Method == http.MethodPatch:
		a.verb = "patch"
	case r.Method == http.MethodDelete:
		a.verb = "delete"
	}
	return a
}

// fail writes a metav1.Status.
func fail(w http.ResponseWriter, status int, reason, message string) {
	reply(w, status, object{
		"kind": "Status", "apiVersion": "v1", "metadata": object{}, "status": "Failure",
		"message": message, "reason": reason, "code": status,
	})
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client went away
}

// discover answers version, health and the lists of groups and resources.
func (c *Cluster) discover(w http.ResponseWriter, path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch path {
	case "readyz", "healthz", "livez":
		_, _ = io.WriteString(w, "ok") // the client went away
		return
	case "version":
		reply(w, http.StatusOK, object{"major": "1", "minor": "36", "gitVersion": "v1.36.1", "platform": "linux/amd64"})
		return
	case "api":
		reply(w, http.StatusOK, object{"kind": "APIVersions", "versions": []string{"v1"}})
		return
	case "apis":
		groups := []any{}
		for _, r := range c.store.resources {
			group := object{
				"name": r.Group, "versions": []any{object{"groupVersion": r.apiVersion(), "version": r.Version}},
				"preferredVersion": object{"groupVersion": r.apiVersion(), "version": r.Version},
			}
			if r.Group != "" && !slices.ContainsFunc(groups, func(g any) bool { return same(g, group) }) {
				groups = append(groups, group)
			}
		}
		reply(w, http.StatusOK, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
		return
	}
	version := strings.TrimPrefix(strings.TrimPrefix(path, "apis/"), "api/")
	resources := []any{}
	for _, r := range c.store.resources {
		if r.apiVersion() == version {
			resources = append(resources, object{
				"name": r.Plural, "singularName": strings.ToLower(r.Kind), "namespaced": !r.Cluster, "kind": r.Kind,
				"verbs": []string{"create", "delete", "get", "list", "patch", "update"},
			})
		}
	}
	if len(resources) == 0 {
		fail(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
		return
	}
	reply(w, http.StatusOK, object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

// serve answers a request about objects; mu is held.
func (c *Cluster) serve(w http.ResponseWriter, r *http.Request, a attributes) {
	res, known := c.store.byPlural(a.group, a.version, a.resource)
	if !known {
		fail(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
		return
	}
	if a.verb == "list" {
		c.serveList(w, r, res, a)
		return
	}
	if a.verb == "watch" {
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "this cluster has no watch")
		return
	}
	if a.verb == "create" {
		c.serveWrite(w, r, res, a, nil)
		return
	}
	found := c.store.get(res, a.namespace, a.name)
	if found == nil {
		fail(w, http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", res.Plural, a.name))
		return
	}
	switch {
	case a.verb == "get" && a.subresource == "log" && res.Plural == "pods":
		c.serveLog(w, r, a)
	case a.verb == "get" && a.subresource == "":
		reply(w, http.StatusOK, found)
	case a.verb == "delete":
		c.delete(res, a.namespace, a.name, c.options.Now())
		reply(w, http.StatusOK, object{"kind": "Status", "apiVersion": "v1", "metadata": object{}, "status": "Success"})
	case a.verb == "update" || a.verb == "patch":
		c.serveWrite(w, r, res, a, found)
	default:
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "not supported: "+a.verb+" "+a.subresource)
	}
}

func (c *Cluster) serveWrite(w http.ResponseWriter, r *http.Request, res resource, a attributes, old object) {
	data, err := io.ReadAll(io.LimitReader(r.Body, 10<<20))
	if err != nil {
		return // the client went away
	}
	var o object
	if err := utiljson.Unmarshal(data, &o); err != nil {
		fail(w, http.StatusBadRequest, "BadRequest", "reading the object: "+err.Error())
		return
	}
	status := http.StatusOK
	switch {
	case a.verb == "create":
		status = http.StatusCreated
	case a.verb == "patch" && r.Header.Get("Content-Type") == "application/merge-patch+json":
		o, _ = mergePatch(clone(old), o).(object) // an object merged into an object is one
	case a.verb == "patch":
		fail(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType", "only application/merge-patch+json")
		return
	}
	meta := child(o, "metadata")
	if a.namespace != "" {
		meta["namespace"] = a.namespace
	}
	if a.verb == "create" && c.store.get(res, a.namespace, str(meta, "name")) != nil {
		fail(w, http.StatusConflict, "AlreadyExists", fmt.Sprintf("%s %q already exists", res.Plural, str(meta, "name")))
		return
	}
	c.apply(res, o, "api", c.options.Now())
	reply(w, status, c.store.get(res, str(meta, "namespace"), str(meta, "name")))
}

// mergePatch is RFC 7386.
func mergePatch(target, patch any) any {
	p, ok := patch.(object)
	if !ok {
		return patch
	}
	t, ok := target.(object)
	if !ok {
		t = object{}
	}
	for name, value := range p {
		if value == nil {
			delete(t, name)
		} else {
			t[name] = mergePatch(t[name], value)
		}
	}
	return t
}

func (c *Cluster) serveList(w http.ResponseWriter, r *http.Request, res resource, a attributes) {
	query := r.URL.Query()
	byLabel, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		fail(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	byField, err := fields.ParseSelector(query.Get("fieldSelector"))
	if err != nil {
		fail(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	items := []any{}
	for _, o := range c.store.list(res, a.namespace) {
		if byLabel.Matches(labelsOf(o)) && byField.Matches(fieldSet{o}) {
			items = append(items, o)
		}
	}
	start, err := readContinue(query.Get("continue"))
	if err != nil {
		fail(w, http.StatusGone, "Expired", "the provided continue parameter is too old")
		return
	}
	meta := object{"resourceVersion": strconv.FormatInt(c.store.version, 10)}
	items = items[min(start, len(items)):]
	if limit, _ := strconv.Atoi(query.Get("limit")); limit > 0 && limit < len(items) {
		meta["continue"] = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(start + limit)))
		meta["remainingItemCount"] = len(items) - limit
		items = items[:limit]
	}
	reply(w, http.StatusOK, object{"kind": res.Kind + "List", "apiVersion": res.apiVersion(), "metadata": meta, "items": items})
}

func readContinue(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

func labelsOf(o object) labels.Set {
	set := labels.Set{}
	values, _ := look(o, "metadata", "labels").(object)
	for name, value := range values {
		if text, ok := value.(string); ok {
			set[name] = text
		}
	}
	return set
}

// fieldSet resolves field selectors by path: a superset of what Kubernetes
// knows.
type fieldSet struct{ o object }

func (f fieldSet) Has(field string) bool { return f.Get(field) != "" }
func (f fieldSet) Get(field string) string {
	return str(f.o, strings.Split(field, ".")...)
}

// serveLog answers pods/log as kubelets do: previous, tailLines, and limitBytes
// which keeps the head of that tail.
func (c *Cluster) serveLog(w http.ResponseWriter, r *http.Request, a attributes) {
	query := r.URL.Query()
	pod := c.sim.pods[a.namespace+"/"+a.name]
	if pod == nil {
		fail(w, http.StatusNotFound, "NotFound", fmt.Sprintf("pods %q not found", a.name))
		return
	}
	name := query.Get("container")
	at := slices.IndexFunc(pod.containers, func(k *container) bool { return k.name == name || name == "" && !k.init })
	if at < 0 {
		fail(w, http.StatusBadRequest, "BadRequest", fmt.Sprintf("container %s is not valid for pod %s", name, a.name))
		return
	}
	k := pod.containers[at]
	if query.Get("previous") == "true" && k.last == nil {
		fail(w, http.StatusBadRequest, "BadRequest", fmt.Sprintf("previous terminated container %q in pod %q not found", k.name, a.name))
		return
	}
	if k.started.IsZero() {
		fail(w, http.StatusBadRequest, "BadRequest", fmt.Sprintf("container %q in pod %q is waiting to start: %s", k.name, a.name, k.waiting))
		return
	}
	lines := k.log
	if n, err := strconv.Atoi(query.Get("tailLines")); err == nil && n < len(lines) {
		lines = lines[len(lines)-n:]
	}
	text := strings.Join(lines, "\n")
	if text != "" {
		text += "\n"
	}
	if n, err := strconv.Atoi(query.Get("limitBytes")); err == nil && n < len(text) {
		text = text[:n]
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, text) // the client went away
}

// Event is a Warning event for an object.
func (c *Cluster) event(o object, reason, message string, now time.Time) {
	res := c.store.byKind("v1", "Event")
	namespace, name, uid := str(o, "metadata", "namespace"), str(o, "metadata", "name"), str(o, "metadata", "uid")
	event := name + "." + suffix(uid+reason+message, 10)
	if old := c.store.get(res, namespace, event); old != nil {
		old["count"], old["lastTimestamp"] = number(old["count"])+1, stamp(now)
		return
	}
	c.store.put(res, object{
		"metadata":       object{"name": event, "namespace": namespace},
		"involvedObject": object{"apiVersion": o["apiVersion"], "kind": o["kind"], "namespace": namespace, "name": name, "uid": uid},
		"type":           "Warning", "reason": reason, "message": message, "count": int64(1),
		"firstTimestamp": stamp(now), "lastTimestamp": stamp(now),
	}, now)
}
