package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// explain says what failed, where, and what can be done.
func (c *Client) explain(t *target, doing string, err error) string {
	text := fmt.Sprintf("cluster %s: %s: %v", t.Name, doing, err)
	var timeout net.Error
	var network *net.OpError
	switch {
	case apierrors.IsUnauthorized(err):
		return text + "; the credentials are wrong or have expired: renew them in the kubeconfig"
	case apierrors.IsForbidden(err):
		return text + "; grant the rights of examples/rbac.yaml"
	case errors.Is(err, context.Canceled):
		return text
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsTooManyRequests(err), errors.As(err, &timeout) && timeout.Timeout():
		return text + "; the API server did not answer in time, the next run asks again"
	case errors.As(err, &network):
		return text + "; " + t.server + " cannot be reached from here: check the context's server and the network"
	}
	return text
}
