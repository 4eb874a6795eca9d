//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/otelshift/otelshift/internal/controlplane"
)

// mutate registers a mutating webhook for a namespace: each created or updated
// object of the resource gets the JSON patch.
func mutate(t *testing.T, plane *controlplane.ControlPlane, namespace, group, resource, patch string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct {
				UID string `json:"uid"`
			} `json:"request"`
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
			"response": map[string]any{"uid": review.Request.UID, "allowed": true, "patchType": "JSONPatch", "patch": base64.StdEncoding.EncodeToString([]byte(patch))},
		})
	}))
	t.Cleanup(server.Close)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := plane.Apply(t.Context(), "test", fmt.Sprintf(`{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: %[1]s},
 webhooks: [{name: mutate.%[1]s.test, sideEffects: None, admissionReviewVersions: [v1], failurePolicy: Ignore, timeoutSeconds: 10,
  clientConfig: {url: %[2]q, caBundle: %[3]q},
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}},
  rules: [{apiGroups: [%[4]q], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [%[5]s]}]}]}`,
		namespace, server.URL, base64.StdEncoding.EncodeToString(bundle), group, resource)); err != nil {
		t.Fatal(err)
	}
}
