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
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

const (
	// maxConcurrentReconciles is how many pods wait for their pushes concurrently. A waiting pod costs only a goroutine, and other
	// pods must not queue behind hundreds that wait for a large image. The pusher copies two images concurrently, in the order
	// of the requests.
	maxConcurrentReconciles = 256
	// A failed push is retried after firstRetry, then after twice as long, up to lastRetry. So it takes 15 seconds at most to
	// notice that an image was removed from the host while its pod waits.
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
)

// Reconciler is the delivery controller.
type Reconciler struct {
	// Client patches pods.
	Client client.Client
	// Reader reads a pod from the API server, without a cache: the values that a patch tests must not be stale.
	Reader client.Reader
	// Pusher pushes the images.
	Pusher webhook.Pusher
	// Decisions decides about images of pods that exist.
	Decisions Decisions
	// Events takes the Events on the pods.
	Events webhook.Recorder
	// RegistryHost is the registry's host in every rewritten reference, such as localhost:5001.
	RegistryHost string
	// Deadline is how long after a pod's creation its pushes are retried. After it, the pod gets its original images.
	Deadline time.Duration
}

// SetupWithManager adds the controller to the manager, whose cache should hold active pods only, see Strip.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	// A pod cannot be gated later, and a failed attempt is queued again. So three events matter: a new pod, a pod that cannot
	// pull an image, and a pod that waits for another image than before.
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

// wants is Wants for a cached object.
func (r *Reconciler) wants(object client.Object) bool {
	pod, ok := object.(*corev1.Pod)
	return ok && Wants(podimage.Read(pod, r.RegistryHost))
}

// Reconcile has one pod's images pushed and ungates the pod, or heals it. An error queues the pod again.
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
	if !eligible(pod) { // a user gated a pod of an exempt namespace; its images stay
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
	if err != nil && ctx.Err() == nil { // as when a policy refuses the patch; the pod waits until that changes
		r.Events.Eventf(reference(found, ""), nil, corev1.EventTypeWarning, ungateFailed, push,
			"Cannot ungate the pod: %.500s; retrying", err)
	}
	return reconcile.Result{}, err
}

// retryable returns the errors of pushes that are worth another attempt, and writes an Event for each.
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

// giveUp writes an Event for every image that was not pushed, with the image that the pod gets.
func (r *Reconciler) giveUp(ctx context.Context, pod *corev1.Pod, outcomes []pushed) {
	for _, o := range outcomes {
		if o.err != nil {
			end := fmt.Sprintf("running the original image %q", o.Original)
			switch {
			case o.Final:
				end = "the API server allows no change back to the original image"
			case o.Never:
				end = "the original image is not restored because imagePullPolicy is Never"
			}
			r.event(pod, o.Waiting, pushFailed, giveUp, "%.500s; %s", o.err, end)
			log.FromContext(ctx).Info("image not pushed",
				"field", o.Path, "image", o.Original, "error", o.err.Error())
		}
	}
}

// ungate pins the images that were pushed, restores the others, and ungates the pod.
func (r *Reconciler) ungate(ctx context.Context, pod *corev1.Pod, outcomes []pushed) error {
	patched, err := r.patch(ctx, pod, ungatePatch(pod, outcomes))
	if patched {
		log.FromContext(ctx).Info("pod delivered")
	}
	return err
}

// ungatePatch returns the patch of ungate, which also removes the progress annotation.
func ungatePatch(pod *corev1.Pod, outcomes []pushed) []jsonpatch.Operation {
	fields := make([]podimage.Settled, len(outcomes))
	for i, o := range outcomes {
		fields[i] = o.settled()
	}
	return podimage.Ungate(pod, fields)
}

// patch patches the pod and reports whether it did: an empty patch and a deleted pod need none.
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
