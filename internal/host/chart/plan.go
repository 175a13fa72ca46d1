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

// Webhook is the webhook that runs in the cluster.
type Webhook struct {
	// Image is the image that the Deployment runs, HOST/NAME:TAG@DIGEST.
	Image string
	// Available is the number of available replicas.
	Available int
}

// Webhook returns the webhook that runs in the cluster. It returns the zero value if there is none, or if the cluster does not
// answer.
func (c *Chart) Webhook(ctx context.Context) Webhook {
	kube, err := c.cluster.Kube()
	if err != nil {
		return Webhook{}
	}
	deployment, err := kube.AppsV1().Deployments(config.Name).Get(ctx, config.Name, metav1.GetOptions{})
	if err != nil || len(deployment.Spec.Template.Spec.Containers) == 0 {
		return Webhook{}
	}
	return Webhook{deployment.Spec.Template.Spec.Containers[0].Image, int(deployment.Status.AvailableReplicas)}
}
