package chart

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// Webhook is the webhook that runs in the cluster.
type Webhook struct {
	// Image is the image that the Deployment runs, HOST/NAME:TAG@DIGEST.
	Image string
	// Available is the number of available replicas.
	Available int
	// RestartsOnRebuild reports whether it restarts workloads on a rebuild.
	RestartsOnRebuild bool
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
	container := &deployment.Spec.Template.Spec.Containers[0]
	return Webhook{
		Image: container.Image, Available: int(deployment.Status.AvailableReplicas),
		RestartsOnRebuild: slices.Contains(container.Args, "--restart-on-rebuild"),
	}
}
