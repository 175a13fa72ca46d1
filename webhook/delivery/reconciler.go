package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

const (
	// maxConcurrentReconciles limits how many pods wait for their pushes concurrently. The limit is high because a waiting pod costs
	// only a goroutine, and because other pods must not queue behind hundreds of pods that wait for a large image. The pusher copies
	// two images concurrently, in the order of the requests.
	maxConcurrentReconciles = 256
	// A failed push is retried after firstRetry, and then after twice the previous pause, up to lastRetry. So if an image is removed
	// from the host while its pod is waiting, the controller notices within 15 seconds.
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
)

// Reconciler is the delivery controller.
type Reconciler struct {
	// Client patches pods.
	Client client.Client
	// Reader reads a pod from the API server without a cache, because the values that a patch tests must not be stale.
	Reader client.Reader
	// Pusher pushes the images.
	Pusher webhook.Pusher
	// Decisions decides about existing pods' images.
	Decisions Decisions
	// Events records Events about the pods.
	Events webhook.Recorder
	// Images reports changed images of the host. Pods that could not pull them are then healed immediately.
	Images <-chan event.TypedGenericEvent[string]
	// RegistryHost is the registry's host in every rewritten reference, such as localhost:5001.
	RegistryHost string
	// Deadline limits how long a pod's pushes are retried, counted from the pod's creation. After the deadline, the pod gets its
	// original images.
	Deadline time.Duration
}

// SetupWithManager adds the controller to the manager. The manager's cache should contain only active pods, reduced by Strip.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	// A pod cannot be gated after its creation, and a failed attempt is queued again without an event. So only three events matter:
	// a pod is new, cannot pull an image, or waits for a different image than before.
	relevant := predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return r.wants(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool {
			pod, ok := e.ObjectNew.(*corev1.Pod)
			old, was := e.ObjectOld.(*corev1.Pod)
			if !ok || !was {
				return false
			}
			updated := podimage.Read(pod, r.RegistryHost)
			return wantsHeal(updated) || imagesChanged(pod, old) && wantsDelivery(updated)
		},
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
	err := builder.ControllerManagedBy(mgr).Named("delivery").
		For(&corev1.Pod{}, builder.WithPredicates(relevant)).
		WatchesRawSource(source.TypedChannel(r.Images, handler.TypedEnqueueRequestsFromMapFunc(r.lacking))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: maxConcurrentReconciles,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				firstRetry, lastRetry),
		}).
		WithLogConstructor(func(request *reconcile.Request) logr.Logger {
			log := mgr.GetLogger().WithName("delivery")
			if request == nil {
				return log
			}
			return log.WithValues("namespace", request.Namespace, "pod", request.Name)
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("adding the delivery controller: %w", err)
	}
	return nil
}

// wants applies Wants to a cached object.
func (r *Reconciler) wants(object client.Object) bool {
	pod, ok := object.(*corev1.Pod)
	return ok && Wants(podimage.Read(pod, r.RegistryHost))
}

// Reconcile either pushes a pod's images and ungates the pod, or heals the pod. If it returns an error, the pod is queued again.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	found := &corev1.Pod{}
	if err := r.Reader.Get(ctx, request.NamespacedName, found); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	pod := podimage.Read(found, r.RegistryHost)
	switch {
	case !Wants(pod):
		return reconcile.Result{}, nil
	case !podimage.Gated(found) && wantsHeal(pod):
		return r.heal(ctx, pod)
	}
	if !eligible(pod) { // a user gated a pod in an exempt namespace; its images stay unchanged
		return reconcile.Result{}, r.ungate(ctx, found, nil)
	}
	outcomes := r.push(ctx, pod, pod.Waiting())
	if ctx.Err() != nil {
		return reconcile.Result{}, fmt.Errorf("pushing: %w", context.Cause(ctx))
	}
	if r.untilDeadline(found) > 0 {
		if err := r.retryable(found, outcomes); err != nil {
			r.showProgress(ctx, found, retryText(err))
			return reconcile.Result{}, err
		}
	}
	r.giveUp(ctx, found, outcomes)
	err := r.ungate(ctx, found, outcomes)
	if err != nil && ctx.Err() == nil { // for example, a policy refuses the patch; the pod waits until a patch is accepted
		r.Events.Eventf(reference(found, ""), nil, corev1.EventTypeWarning, ungateFailed, push,
			"Cannot ungate the pod: %.500s; retrying", err)
	}
	return reconcile.Result{}, err
}

// retryable returns the errors of the pushes that should be retried, and writes an Event for each.
func (r *Reconciler) retryable(pod *corev1.Pod, outcomes []pushed) error {
	var passing []error
	for _, o := range outcomes {
		if o.err != nil && !o.refused() {
			passing = append(passing, o.err)
			r.event(pod, o.Waiting, pushFailed, push, "%.500s; retrying", o.err)
		}
	}
	return errors.Join(passing...)
}

// giveUp writes an Event for every image that was not pushed. The Event states which image the pod runs instead, or why the pod
// keeps the rewritten image.
func (r *Reconciler) giveUp(ctx context.Context, pod *corev1.Pod, outcomes []pushed) {
	for _, o := range outcomes {
		if o.err != nil {
			end := fmt.Sprintf("running the original image %q", o.Original)
			switch {
			case o.Final:
				end = "the API server does not allow restoring the original image"
			case o.Never:
				end = "the original image is not restored because imagePullPolicy is Never"
			}
			r.event(pod, o.Waiting, pushFailed, giveUp, "%.500s; %s", o.err, end)
			log.FromContext(ctx).Info("image not pushed",
				"field", o.Path, "image", o.Original, "error", o.err.Error())
		}
	}
}

// ungate ungates the pod. In the same patch, it pins the images that were pushed, and restores the original references of the
// others.
func (r *Reconciler) ungate(ctx context.Context, pod *corev1.Pod, outcomes []pushed) error {
	patched, err := r.patch(ctx, pod, ungatePatch(pod, outcomes))
	if patched {
		log.FromContext(ctx).Info("pod delivered")
	}
	return err
}

// ungatePatch returns the patch for ungate. It also removes the progress annotation.
func ungatePatch(pod *corev1.Pod, outcomes []pushed) []jsonpatch.Operation {
	fields := make([]podimage.Settled, len(outcomes))
	for i, o := range outcomes {
		fields[i] = o.settled()
	}
	return podimage.Ungate(pod, fields)
}

// patch patches the pod and reports whether it did. An empty patch or a deleted pod is not an error.
func (r *Reconciler) patch(ctx context.Context, pod *corev1.Pod, patch []jsonpatch.Operation) (patched bool, err error) {
	if len(patch) == 0 {
		return false, nil
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return false, fmt.Errorf("writing patch: %w", err)
	}
	err = r.Client.Patch(ctx, pod, client.RawPatch(types.JSONPatchType, data))
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("patching pod: %w", err)
	}
	return err == nil, nil
}
