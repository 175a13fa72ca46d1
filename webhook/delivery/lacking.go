package delivery

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/imagewatch"
	"kind-local-registry/webhook/podimage"
)

// lacking returns the pods that cannot pull the image, which has changed on the host: it may have been built since. Without this, they
// would be healed at the kubelet's next attempt, after up to five minutes. It reads the cache.
func (r *Reconciler) lacking(ctx context.Context, image string) []reconcile.Request {
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "pods not listed", "image", image)
		return nil
	}
	var found []reconcile.Request
	for i := range pods.Items {
		pod := podimage.Read(&pods.Items[i], r.RegistryHost)
		if wantsHeal(pod) && r.lacks(pod, image) {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)})
		}
	}
	return found
}

// lacks reports whether the pod cannot pull the image, whose reference is normalised.
func (r *Reconciler) lacks(pod *podimage.Pod, image string) bool {
	return image == imagewatch.All || slices.ContainsFunc(pod.Unpullable(), func(field podimage.Field) bool {
		name, err := rewrite.Parse(field.Image)
		return err == nil && slices.ContainsFunc(append(name.Aliases(r.RegistryHost), name), func(known rewrite.Name) bool {
			return known.String() == image
		})
	})
}
