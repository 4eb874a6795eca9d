package cluster

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// application is what of an Argo CD Application matters here: Argo CD's own
// types would bring 463 modules. Argo CD 3, application_types.go.
type application struct {
	Metadata struct{ Name, Namespace string } `json:"metadata"`
	Spec     struct {
		Source      *appSource  `json:"source"`
		Sources     []appSource `json:"sources"`
		Destination struct{ Server, Name, Namespace string }
		Hydrator    *struct {
			DrySource appSource `json:"drySource"`
		} `json:"sourceHydrator"`
	} `json:"spec"`
	Status struct {
		Sync struct {
			Status    string   `json:"status"`
			Revision  string   `json:"revision"`
			Revisions []string `json:"revisions"`
		} `json:"sync"`
		ReconciledAt   time.Time       `json:"reconciledAt"`
		OperationState *operationState `json:"operationState"`
		History        []struct {
			Revision        string    `json:"revision"`
			Revisions       []string  `json:"revisions"`
			DeployStartedAt time.Time `json:"deployStartedAt"`
			DeployedAt      time.Time `json:"deployedAt"`
		} `json:"history"`
		Resources []appResource `json:"resources"`
		Hydrator  struct {
			Last struct {
				DrySHA string `json:"drySHA"`
			} `json:"lastSuccessfulOperation"`
		} `json:"sourceHydrator"`
	} `json:"status"`
}

type appSource struct {
	RepoURL string `json:"repoURL"`
	Chart   string `json:"chart"`
	Ref     string `json:"ref"`
	Path    string `json:"path"`
}

type operationState struct {
	Phase      string    `json:"phase"`
	Message    string    `json:"message"`
	RetryCount int64     `json:"retryCount"`
	FinishedAt time.Time `json:"finishedAt"`
	Operation  struct {
		Sync struct {
			Revision  string   `json:"revision"`
			Revisions []string `json:"revisions"`
		} `json:"sync"`
	} `json:"operation"`
	SyncResult *struct {
		Revision  string        `json:"revision"`
		Revisions []string      `json:"revisions"`
		Resources []appResource `json:"resources"`
	} `json:"syncResult"`
}

type appResource struct {
	Group     string `json:"group"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Status    string `json:"status"`
	HookPhase string `json:"hookPhase"`
	Message   string `json:"message"`
}

func (r appResource) is(id fleet.ID, namespace string) bool {
	group, _, _ := kindOf(id.Kind)
	return r.Kind == id.Kind && r.Group == group && r.Name == id.Name && (namespace == "" || r.Namespace == namespace)
}

// applications of every cluster.
type applications struct {
	all  []*application
	home map[*application]*target // where the Application object is
	errs []string                 // clusters whose Applications could not be read
}

func appResourceName() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
}

// applications lists the Applications of each cluster that has any.
func (c *Client) applications(ctx context.Context) *applications {
	found := &applications{home: map[*application]*target{}}
	if c.options.ArgoCD.Mode == Off {
		return found
	}
	var mu sync.Mutex
	var group errgroup.Group
	for _, t := range c.targets {
		group.Go(func() error {
			items, err := listAll(ctx, t, appResourceName(), c.options.ArgoCD.Namespace, "")
			mu.Lock()
			defer mu.Unlock()
			if apierrors.IsNotFound(err) && (c.options.ArgoCD.Mode == Auto || len(c.targets) > 1) {
				return nil
			}
			if err != nil {
				found.errs = append(found.errs, c.explain(t, "listing applications in namespace "+c.options.ArgoCD.Namespace, err))
			}
			for i := range items {
				a := &application{}
				if err := decode(items[i].Object, a); err != nil {
					found.errs = append(found.errs, c.explain(t, "reading application "+items[i].GetName(), err))
					continue
				}
				found.all = append(found.all, a)
				found.home[a] = t
			}
			return nil
		})
	}
	_ = group.Wait() // errors are in errs
	slices.SortFunc(found.all, func(a, b *application) int {
		return strings.Compare(a.Metadata.Namespace+"/"+a.Metadata.Name, b.Metadata.Namespace+"/"+b.Metadata.Name)
	})
	slices.Sort(found.errs)
	return found
}

// of is the only Application that lists the workload among its resources.
func (a *applications) of(id fleet.ID) *application {
	var found *application
	for _, app := range a.all {
		if slices.ContainsFunc(app.Status.Resources, func(r appResource) bool { return r.is(id, id.Namespace) }) {
			if found != nil {
				return nil
			}
			found = app
		}
	}
	return found
}

// track finds the Application of a live object: by its tracking id, which
// counts only if it names the object itself, else by the Application that lists
// it. The instance label alone is not believed: Helm sets it too.
func (a *applications) track(o *unstructured.Unstructured, id fleet.ID, listed *application) (app *application, tracked bool) {
	group, _, _ := kindOf(id.Kind)
	text := o.GetAnnotations()["argocd.argoproj.io/tracking-id"]
	name, rest, _ := strings.Cut(text, ":")
	if text == "" || rest != group+"/"+id.Kind+":"+o.GetNamespace()+"/"+o.GetName() {
		return listed, listed != nil
	}
	for _, candidate := range a.all {
		if candidate.Metadata.Name != name && candidate.Metadata.Namespace+"_"+candidate.Metadata.Name != name {
			continue
		}
		lists := slices.ContainsFunc(candidate.Status.Resources, func(r appResource) bool { return r.is(id, o.GetNamespace()) })
		if app == nil || lists { // two Argo CDs may have Applications of one name
			app = candidate
		}
	}
	if app != nil {
		return app, true
	}
	return listed, true
}

// sync is what the Application says of one of its objects.
func (c *Client) sync(a *application, id fleet.ID, namespace string) *rollout.Sync {
	s := &rollout.Sync{
		Application: a.Metadata.Name, Status: a.Status.Sync.Status, ReconciledAt: a.Status.ReconciledAt, DeployStarted: map[string]time.Time{},
	}
	pick := c.ours(a)
	s.SourceMismatch = pick == nil
	s.Revisions = choice(pick, a.Status.Sync.Revision, a.Status.Sync.Revisions)
	if a.Spec.Hydrator != nil && len(pick) > 0 {
		s.Revisions = []string{a.Status.Hydrator.Last.DrySHA}
	}
	for _, h := range a.Status.History {
		at := h.DeployStartedAt
		if at.IsZero() {
			at = h.DeployedAt
		}
		for _, revision := range choice(pick, h.Revision, h.Revisions) {
			if known, has := s.DeployStarted[revision]; !has || at.Before(known) {
				s.DeployStarted[revision] = at
			}
		}
	}
	if op := a.Status.OperationState; op != nil {
		s.Phase, s.Message, s.RetryCount, s.FinishedAt = op.Phase, clean(op.Message), op.RetryCount, op.FinishedAt
		s.Operation = choice(pick, op.Operation.Sync.Revision, op.Operation.Sync.Revisions)
		if r := op.SyncResult; r != nil {
			s.Operation = choice(pick, r.Revision, r.Revisions)
			for _, resource := range r.Resources {
				if resource.Status != "SyncFailed" && resource.HookPhase != "Failed" && resource.HookPhase != "Error" {
					continue
				}
				if resource.is(id, namespace) {
					s.FailedObject, s.ObjectMessage = true, clean(resource.Message)
				} else {
					s.FailedOther = true
				}
			}
		}
	}
	return s
}

// ours are the indices of the sources that are the manifest repository: not
// charts, and not those that only lend files to another. Nil: none.
func (c *Client) ours(a *application) []int {
	sources := a.Spec.Sources
	if a.Spec.Hydrator != nil {
		sources = []appSource{a.Spec.Hydrator.DrySource}
	} else if a.Spec.Source != nil && len(sources) == 0 {
		sources = []appSource{*a.Spec.Source}
	}
	var pick []int
	for i, s := range sources {
		if s.Chart == "" && (s.Ref == "" || s.Path != "") && (c.options.RepositoryURL == "" || sameRepository(s.RepoURL, c.options.RepositoryURL)) {
			pick = append(pick, i)
		}
	}
	return pick
}

// choice picks revisions by index; an Application with one source has one.
func choice(pick []int, one string, many []string) []string {
	if len(many) == 0 {
		if one == "" || len(pick) == 0 {
			return nil
		}
		return []string{one}
	}
	var chosen []string
	for _, i := range pick {
		if i < len(many) {
			chosen = append(chosen, many[i])
		} else {
			chosen = append(chosen, "") // of unknown ancestry: never synced
		}
	}
	return chosen
}

// sameRepository compares by host and path, so that HTTPS and SSH forms of one
// repository are the same.
func sameRepository(a, b string) bool { return repositoryKey(a) == repositoryKey(b) }

func repositoryKey(text string) string {
	if host, path, found := strings.Cut(text, ":"); found && !strings.Contains(text, "://") {
		_, bare, at := strings.Cut(host, "@") // git@host:path
		if !at {
			bare = host
		}
		text = "ssh://" + bare + "/" + strings.TrimPrefix(path, "/")
	}
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	host := strings.ToLower(u.Host)
	if u.Scheme != "http" && u.Scheme != "https" {
		host = strings.ToLower(u.Hostname())
	}
	return host + "/" + strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
}

// listAll lists every page of a resource.
func listAll(ctx context.Context, t *target, r schema.GroupVersionResource, namespace, selector string) ([]unstructured.Unstructured, error) {
	var items []unstructured.Unstructured
	options := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := t.dynamic.Resource(r).Namespace(namespace).List(ctx, options)
		if err != nil {
			return nil, err //nolint:wrapcheck // explain says what and where
		}
		items = append(items, page.Items...)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return items, nil
		}
	}
}

// decode turns an object's JSON into a struct.
func decode(o map[string]any, into any) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
