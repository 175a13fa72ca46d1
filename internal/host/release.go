package host

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/webhook/uninstall"
)

// letPodsGo lets go the pods that neither the chart's hook nor the webhook could. What is left of them is told, with what a
// person can do.
func (s *System) letPodsGo(ctx context.Context) error {
	access, err := s.restConfig()
	if err != nil {
		return err
	}
	cluster, err := client.New(access, client.Options{})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if _, err := uninstall.Run(ctx, cluster, s.registryHost()); err != nil {
		return remedy(fmt.Errorf("letting pods go: %w", err), "delete those pods, or run setup down again")
	}
	return nil
}
