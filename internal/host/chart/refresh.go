package chart

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/config"
)

// refreshedAnnotation is an annotation of the webhook's pods. Its value is the time when setup last changed it.
const refreshedAnnotation = config.Name + "/refreshed"

// refreshPause is the time between two refreshes of the webhook's volumes. One refresh may come too early, because a kubelet learns
// about the Secret and about the pod through separate watches.
const refreshPause = time.Second

// refreshVolumes makes the kubelets update the volumes of the webhook's pods, and so the pusher's client certificate. A kubelet does so
// when a pod's annotation changes, and otherwise only every 60 to 90 seconds.
func (c *Chart) refreshVolumes(ctx context.Context) error {
	kube, err := c.cluster.Kube()
	if err != nil {
		return err
	}
	pods := kube.CoreV1().Pods(config.Name)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + config.Name})
	if err != nil {
		return fmt.Errorf("listing the webhook's pods: %w", err)
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, refreshedAnnotation, time.Now().Format(time.RFC3339Nano))
	for i := range list.Items {
		if _, err := pods.Patch(ctx, list.Items[i].Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("annotating pod %s: %w", list.Items[i].Name, err)
		}
	}
	return nil
}
