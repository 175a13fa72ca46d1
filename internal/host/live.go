package host

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/client-go/rest"

	"kind-local-registry/internal/host/step"
)

// Namespace returns the namespace that kubectl uses by default with the cluster.
func (s *System) Namespace() string { return s.cluster.Namespace() }

// ConnectCluster returns the access to the cluster's API server, which has just answered. The error includes a remedy if the cluster
// does not exist, is stopped or does not answer.
func (s *System) ConnectCluster(ctx context.Context) (*rest.Config, error) {
	condition, err := s.cluster.Condition(ctx)
	switch {
	case err != nil:
		return nil, err
	case !condition.Exists:
		return nil, step.Remedy(fmt.Errorf("there is no kind cluster %q", s.Cluster()),
			"name another with --cluster, see kind get clusters, or run setup up")
	case len(condition.Stopped) > 0:
		return nil, step.Remedy(fmt.Errorf("kind cluster %s is stopped", s.Cluster()), "run setup up --cluster "+s.Cluster())
	case !condition.Answers:
		err := errors.New("the API server of kind cluster " + s.Cluster() + " does not answer")
		return nil, step.Remedy(err, "run setup doctor --cluster "+s.Cluster())
	}
	return s.cluster.RESTConfig()
}
