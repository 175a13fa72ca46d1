package restart

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/imagewatch"
	"kind-local-registry/webhook/podimage"
)

// After an error, a workload is checked again after firstRetry, and then after twice the previous pause, up to lastRetry.
const firstRetry, lastRetry = time.Second, 30 * time.Second

// SetupWithManager adds the controller to the manager. The manager's cache should contain only active pods, reduced by delivery.Strip, and
// workloads that are reduced by Strip.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	r.known = map[Request]*memory{}
	r.log = mgr.GetLogger().WithName("restart")
	r.pushes = newPushes(r.Pusher, r.Images.Report, r.log)
	building := builder.TypedControllerManagedBy[Request](mgr).Named("restart").
		WatchesRawSource(source.TypedChannel(r.Images.Channel(), handler.TypedEnqueueRequestsFromMapFunc(r.affected))).
		WatchesMetadata(&corev1.Namespace{}, handler.TypedEnqueueRequestsFromMapFunc(r.inNamespace),
			builder.WithPredicates(predicate.LabelChangedPredicate{})).
		WithOptions(controller.TypedOptions[Request]{
			MaxConcurrentReconciles: 1,
			UsePriorityQueue:        new(false), // it would not keep the order
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[Request](firstRetry, lastRetry),
		}).
		WithLogConstructor(func(request *Request) logr.Logger {
			if request == nil {
				return r.log
			}
			return r.log.WithValues("namespace", request.Namespace, "workload", strings.ToLower(string(request.Kind))+"/"+request.Name)
		})
	for _, kind := range kinds() {
		building = building.WatchesMetadata(kind.newObject(), handler.TypedEnqueueRequestsFromMapFunc(
			func(_ context.Context, object client.Object) []Request {
				return []Request{{kind, client.ObjectKeyFromObject(object)}}
			}), builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})))
	}
	if err := building.Complete(r); err != nil {
		return fmt.Errorf("adding the restart controller: %w", err)
	}
	return mgr.Add(r.pushes)
}

// Cached returns the objects that the manager's cache must reduce with Strip.
func Cached() []client.Object {
	var all []client.Object
	for _, kind := range kinds() {
		all = append(all, kind.newObject())
	}
	return all
}

// Strip reduces the metadata of a cached workload to what the controller reads. It is a cache.TransformFunc.
func Strip(object any) (any, error) {
	found, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	stripped := &metav1.PartialObjectMetadata{TypeMeta: found.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Namespace: found.Namespace, Name: found.Name, UID: found.UID, ResourceVersion: found.ResourceVersion, Generation: found.Generation,
	}}
	if value, ok := found.Annotations[config.RestartAnnotation]; ok {
		stripped.Annotations = map[string]string{config.RestartAnnotation: value}
	}
	return stripped, nil
}

// metadataOf returns an empty object for the metadata of a workload, or of a list of workloads if kind ends with List.
func metadataOf(kind string) *metav1.PartialObjectMetadata {
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
	return found
}

// inNamespace returns the workloads of a namespace that ask for restarts.
func (r *Reconciler) inNamespace(ctx context.Context, namespace client.Object) []Request {
	return r.asking(ctx, client.InNamespace(namespace.GetName()))
}

// asking returns the workloads that ask for restarts, in order. It reads the cache.
func (r *Reconciler) asking(ctx context.Context, options ...client.ListOption) []Request {
	var all []Request
	for _, kind := range kinds() {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(string(kind) + "List"))
		if err := r.Client.List(ctx, list, options...); err != nil {
			r.log.Error(err, "workloads not listed")
			continue
		}
		for i := range list.Items {
			item := &list.Items[i]
			labels, _ := r.namespaceLabels(ctx, item.Namespace) // after an error, the workload's own annotation decides
			if optedIn(item.Annotations, labels) {
				all = append(all, Request{kind, client.ObjectKeyFromObject(item)})
			}
		}
	}
	slices.SortFunc(all, compareRequests)
	return all
}

// compareRequests orders workloads by namespace, name and kind.
func compareRequests(a, b Request) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// affected returns the workloads to check after a change of an image: those that have pods with it, in order. They may not ask for
// restarts.
func (r *Reconciler) affected(ctx context.Context, image string) []Request {
	if image == imagewatch.All {
		return r.asking(ctx)
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.UnsafeDisableDeepCopy); err != nil {
		r.log.Error(err, "pods not listed")
		return nil
	}
	found := map[Request]bool{}
	for i := range pods.Items {
		if owner, ok := ownerOf(&pods.Items[i]); ok && r.runs(&pods.Items[i], image) {
			found[owner] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), compareRequests)
}

// runs reports whether the pod has a rewritten form of the image, whose reference is normalised.
func (r *Reconciler) runs(pod *corev1.Pod, image string) bool {
	return slices.ContainsFunc(rewrittenFields(podimage.Read(pod, r.RegistryHost)), func(f rewritten) bool {
		name, err := rewrite.Parse(f.field.Image)
		return err == nil && name.String() == image
	})
}

// ownerOf returns the workload that the pod belongs to. A ReplicaSet has its Deployment's name and the hash of the template.
func ownerOf(pod *corev1.Pod) (Request, bool) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.APIVersion != appsv1.SchemeGroupVersion.String() {
		return Request{}, false
	}
	key := client.ObjectKey{Namespace: pod.Namespace, Name: owner.Name}
	switch Kind(owner.Kind) {
	case StatefulSet, DaemonSet:
		return Request{Kind(owner.Kind), key}, true
	}
	deployment, ok := strings.CutSuffix(owner.Name, "-"+pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey])
	key.Name = deployment
	return Request{Deployment, key}, ok && owner.Kind == "ReplicaSet"
}

// excludes describes the rule that excludes restarts on a rebuild of the image in the namespace, or returns "".
func (r *Reconciler) excludes(namespace, image string) string {
	if slices.Contains(config.ExemptNamespaces(), namespace) {
		return "namespace " + namespace + " is exempt"
	}
	name, err := rewrite.Parse(image)
	if err != nil {
		return err.Error()
	}
	if rule := r.Rules().ExcludesRestart(namespace, name.String()); rule != "" {
		return "a rule excludes it: " + rule
	}
	return ""
}
