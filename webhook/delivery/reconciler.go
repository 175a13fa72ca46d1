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
	// workers is how many pods are waited for at once. One that waits costs a goroutine and no more, and there must be one for
	// every other pod while hundreds wait for a large image. How many images are copied at once the pusher limits, to two, in
	// the order in which they came.
	workers = 256
	// A push that failed is tried again after firstRetry, then after twice as long, up to lastRetry: an image that is removed
	// from the host while its pod waits for another try is missed within 15 seconds.
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
)

// Reconciler is the delivery controller.
type Reconciler struct {
	// Client patches pods.
	Client client.Client
	// Reader reads a pod from the API server itself: what a patch tests must not be stale.
	Reader client.Reader
	// Pusher pushes the images.
	Pusher webhook.Pusher
	// Decider decides about images that a pod cannot pull.
	Decider Reconsiderer
	// Events takes the Events on the pods.
	Events webhook.Recorder
	// RegistryHost is the registry's host in every rewritten reference, such as localhost:5001.
	RegistryHost string
	// Deadline is how long after a pod's creation its images are tried; after it, the pod runs what its author wrote.
	Deadline time.Duration
}

// SetupWithManager adds the controller to the manager, whose cache should hold active pods only, see Strip.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	// A gate cannot come later than the pod, and a failed attempt queues itself again: only new pods, those that begin to fail,
	// and those that wait for another image than before, are news.
	arriving := predicate.Funcs{
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
		For(&corev1.Pod{}, builder.WithPredicates(arriving)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
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

// Reconcile brings one pod's images into the registry and lets the pod go. An error means that it is tried again.
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
	if !eligible(pod) { // in an exempt namespace a gate was put on by hand, and no image may be changed
		return reconcile.Result{}, r.apply(ctx, found, podimage.Ungate(found, nil))
	}
	outcomes := r.push(ctx, pod, pod.Waiting())
	if ctx.Err() != nil {
		return reconcile.Result{}, fmt.Errorf("pushing: %w", context.Cause(ctx))
	}
	if r.untilDeadline(found) > 0 {
		if err := r.retry(found, outcomes); err != nil {
			r.tell(ctx, found, retryText(err))
			return reconcile.Result{}, err
		}
	}
	r.giveUp(ctx, found, outcomes)
	err := r.apply(ctx, found, deliver(found, outcomes))
	if err != nil && ctx.Err() == nil { // as when a policy refuses it; the pod waits until that changes
		r.Events.Eventf(reference(found, ""), nil, corev1.EventTypeWarning, ungateFailed, push,
			"The pod still waits, as it could not be changed: %.500s; trying again", err)
	}
	return reconcile.Result{}, err
}

// retry returns the errors that are worth another attempt, and writes an Event for each.
func (r *Reconciler) retry(pod *corev1.Pod, outcomes []pushed) error {
	var passing []error
	for _, o := range outcomes {
		if o.err != nil && !o.refused() {
			passing = append(passing, o.err)
			r.event(pod, o.Waiting, pushFailed, push, "%.500s; trying again", o.err)
		}
	}
	return errors.Join(passing...)
}

// giveUp writes an Event for every image that was not pushed, with what runs in its place.
func (r *Reconciler) giveUp(ctx context.Context, pod *corev1.Pod, outcomes []pushed) {
	for _, o := range outcomes {
		if o.err != nil {
			end := fmt.Sprintf("running %q as it is written", o.Original)
			switch {
			case o.Final:
				end = "it cannot be changed back, as the API server allows no other image here"
			case o.Never:
				end = "its original image is not put back, as imagePullPolicy: Never forbids to pull that"
			}
			r.event(pod, o.Waiting, pushFailed, giveUp, "%.500s; %s", o.err, end)
			log.FromContext(ctx).Info("image not pushed",
				"field", o.Path, "image", o.Original, "error", o.err.Error())
		}
	}
}

// deliver returns the patch that lets the pod go: pushed images pinned to their digests, the others as they were written,
// our gate lifted, and no progress shown any more.
func deliver(pod *corev1.Pod, outcomes []pushed) []jsonpatch.Operation {
	fields := make([]podimage.Settled, len(outcomes))
	for i, o := range outcomes {
		fields[i] = o.settled()
	}
	return podimage.Ungate(pod, fields)
}

// apply patches the pod. A pod that is gone needs no patch.
func (r *Reconciler) apply(ctx context.Context, pod *corev1.Pod, patch []jsonpatch.Operation) error {
	if len(patch) == 0 {
		return nil
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("writing patch: %w", err)
	}
	if err := r.Client.Patch(ctx, pod, client.RawPatch(types.JSONPatchType, data)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("patching pod: %w", err)
	}
	log.FromContext(ctx).Info("pod delivered")
	return nil
}
