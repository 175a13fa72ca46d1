package chart

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/step"
)

// planUndo lists what undo would remove from the cluster.
func (c *Chart) planUndo(ctx context.Context) ([]step.Change, error) {
	kube, err := c.cluster.Kube()
	if errors.Is(err, cluster.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	namespace, err := kube.CoreV1().Namespaces().Get(ctx, config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // without the namespace there is no release either
	}
	if err != nil {
		return nil, fmt.Errorf("reading namespace %s: %w", config.Name, err)
	}
	configuration, err := c.helm()
	if err != nil {
		return nil, err
	}
	last, err := lastRelease(configuration)
	if err != nil {
		return nil, err
	}
	var changes []step.Change
	if last != nil {
		changes = append(changes, step.Change{
			Action: step.Delete, Kind: step.Release, Name: config.Name, Detail: "the webhook; waiting pods are ungated",
		})
	}
	return append(changes, step.Change{Action: step.Delete, Kind: step.Namespace, Name: namespace.Name}), nil
}
