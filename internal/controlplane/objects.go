package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// clusterWide are the kinds here that have no namespace.
func clusterWide(kind string) bool {
	return slices.Contains([]string{"Node", "Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration"}, kind)
}

// Resource is the resource of an object's kind; the plurals here are regular.
func Resource(o *unstructured.Unstructured) schema.GroupVersionResource {
	gvk := o.GroupVersionKind()
	plural := strings.ToLower(gvk.Kind) + "s"
	if strings.HasSuffix(plural, "ss") {
		plural = strings.TrimSuffix(plural, "s") + "es" // Ingress
	}
	return gvk.GroupVersion().WithResource(plural)
}

// Objects reads YAML documents; a List is its items.
func Objects(text []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading YAML: %w", err)
		}
		if o.IsList() {
			list, err := o.ToList()
			if err != nil {
				return nil, fmt.Errorf("reading a list: %w", err)
			}
			for i := range list.Items {
				all = append(all, &list.Items[i])
			}
		} else if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}

// Apply applies YAML documents server-side as the manager; an object without a
// namespace goes to "default".
func (c *ControlPlane) Apply(ctx context.Context, manager, text string) error {
	objects, err := Objects([]byte(text))
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := c.ApplyObject(ctx, manager, o); err != nil {
			return err
		}
	}
	return nil
}

// ApplyObject is Apply for one object.
func (c *ControlPlane) ApplyObject(ctx context.Context, manager string, o *unstructured.Unstructured) error {
	options := metav1.ApplyOptions{FieldManager: manager, Force: true}
	resource := c.Dynamic.Resource(Resource(o))
	var err error
	if clusterWide(o.GetKind()) {
		_, err = resource.Apply(ctx, o.GetName(), o, options)
	} else {
		namespace := o.GetNamespace()
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		_, err = resource.Namespace(namespace).Apply(ctx, o.GetName(), o, options)
	}
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// InstallCRDs applies the definitions beside the programs, and waits until they
// are served.
func (c *ControlPlane) InstallCRDs(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(c.opt.Bin, "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("installing definitions: none in %s: %w", c.opt.Bin, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // of the folder that Options name
		if err != nil {
			return fmt.Errorf("installing definitions: %w", err)
		}
		objects, err := Objects(text)
		if err != nil {
			return fmt.Errorf("installing %s: %w", filepath.Base(file), err)
		}
		for _, o := range objects {
			if err := c.ApplyObject(ctx, "test", o); err != nil {
				return err
			}
			resource := c.Dynamic.Resource(Resource(o))
			if err := Until(ctx, time.Minute, o.GetName()+" is served", func(ctx context.Context) (bool, error) {
				live, err := resource.Get(ctx, o.GetName(), metav1.GetOptions{})
				if err != nil {
					return false, nil //nolint:nilerr // it is asked again
				}
				list, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
				return slices.ContainsFunc(list, func(condition any) bool {
					m, _ := condition.(map[string]any)
					return m["type"] == "Established" && m["status"] == "True"
				}), nil
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Namespace makes a namespace.
func (c *ControlPlane) Namespace(ctx context.Context, name string, labels map[string]string) error {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
	o.SetLabels(labels)
	return c.ApplyObject(ctx, "test", o)
}

// Grant applies rights, YAML with an account, roles and bindings, to a
// namespace: bindings in the namespace "shop", which stands for "one per
// namespace", are made there; all others as they are.
func (c *ControlPlane) Grant(ctx context.Context, rights []byte, namespace string) error {
	objects, err := Objects(rights)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.GetKind() == "RoleBinding" && o.GetNamespace() == "shop" {
			o.SetNamespace(namespace)
		}
		if err := c.ApplyObject(ctx, "test", o); err != nil {
			return err
		}
	}
	return nil
}

// Token is a service account's token, as `kubectl create token` gives it.
func (c *ControlPlane) Token(ctx context.Context, namespace, account string) (string, error) {
	request, err := c.Typed.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("asking for a token of %s/%s: %w", namespace, account, err)
	}
	return request.Status.Token, nil
}

// Change changes an object as a person or another controller would; change gets
// a copy. It tries again when somebody else was faster.
func (c *ControlPlane) Change(ctx context.Context, r schema.GroupVersionResource, namespace, name string, change func(o map[string]any)) error {
	for {
		o, err := c.Dynamic.Resource(r).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading %s %s/%s: %w", r.Resource, namespace, name, err)
		}
		change(o.Object)
		_, err = c.Dynamic.Resource(r).Namespace(namespace).Update(ctx, o, metav1.UpdateOptions{FieldManager: "person"})
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("changing %s %s/%s: %w", r.Resource, namespace, name, err)
		}
	}
}

// Scale sets spec.replicas as an autoscaler does.
func (c *ControlPlane) Scale(ctx context.Context, r schema.GroupVersionResource, namespace, name string, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := c.Dynamic.Resource(r).Namespace(namespace).Patch(ctx, name, "application/merge-patch+json", patch, metav1.PatchOptions{FieldManager: "autoscaler"}, "scale")
	if err != nil {
		return fmt.Errorf("scaling %s/%s: %w", namespace, name, err)
	}
	return nil
}

// PatchStatus merges into an object's status, as its controller would.
func (c *ControlPlane) PatchStatus(ctx context.Context, r schema.GroupVersionResource, namespace, name string, patch []byte) error {
	_, err := c.Dynamic.Resource(r).Namespace(namespace).Patch(ctx, name, "application/merge-patch+json", patch, metav1.PatchOptions{FieldManager: "controller"}, "status")
	if err != nil {
		return fmt.Errorf("writing the status of %s/%s: %w", namespace, name, err)
	}
	return nil
}
