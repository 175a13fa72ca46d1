package host

import (
	"context"

	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
)

// ImageID returns the ID of an image in Docker, or "" if Docker has no image with that name.
func (s *System) ImageID(ctx context.Context, reference string) (string, error) {
	return s.engine.ImageID(ctx, reference)
}

// NodeNames returns the names of the cluster's nodes. It returns no names if the cluster does not exist.
func (s *System) NodeNames() ([]string, error) {
	nodes, err := s.cluster.Nodes()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(nodes))
	for _, one := range nodes {
		names = append(names, one.Name)
	}
	return names, nil
}

// CheckDelivery returns an error if pods in the cluster would not run an image that is in the registry: because a node does not
// pull from the registry, or because the webhook does not rewrite pods.
func (s *System) CheckDelivery(ctx context.Context) error {
	for _, one := range []step.Step{s.nodes().Step(), s.chart.AdmissionStep()} {
		if err := step.Verify(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// nodes returns the cluster's nodes.
func (s *System) nodes() node.Nodes {
	return node.Nodes{Cluster: s.Cluster(), RegistryHost: s.RegistryHost(), List: s.cluster.Nodes}
}
