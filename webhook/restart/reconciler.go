package restart

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kind-local-registry/config"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/imagewatch"
)

const (
	// fieldManager is the manager of the annotation that a restart sets. By it, we recognise our own restarts.
	fieldManager = config.Name + "-restart"
	// promiseTime limits how long a promise may take.
	promiseTime = 2 * time.Second
	// unknownPause is the time until the next check if a lookup failed. pushingPause is that time if an image must be pushed first; the
	// end of the push causes a check too.
	unknownPause, pushingPause = 10 * time.Second, 30 * time.Second
	// conflictPause is the time until the next check if the workload changed during this one.
	conflictPause = 200 * time.Millisecond
)

// Reconciler is the controller that restarts workloads. It checks one workload at a time, so that they are restarted in order.
type Reconciler struct {
	// Client reads which workloads ask for restarts from its cache, and patches workloads.
	Client client.Client
	// Reader reads workloads and their pods without a cache, because a restart because of stale ones would be one for nothing.
	Reader client.Reader
	// Pusher promises and pushes the newer builds.
	Pusher Pusher
	// Decisions decides about the images of the workloads' pods.
	Decisions Decisions
	// Rules returns the current rules.
	Rules func() rules.Rules
	// Events records Events about the workloads.
	Events webhook.Recorder
	// Metrics counts restarts.
	Metrics *Metrics
	// RegistryHost is the registry's host in rewritten images, such as localhost:5001.
	RegistryHost string
	// Images reports changed images, whose workloads are then checked.
	Images *imagewatch.Watcher

	log    logr.Logger
	pushes *pushes
	known  map[Request]*memory // only Reconcile uses it, in one goroutine
}

// memory is what the controller remembers about a workload. It only saves restarts and Events: without it, the cluster's state decides.
type memory struct {
	pace pace
	// stated is what the last Event about a skipped restart said, or "".
	stated string
}

// Pusher promises and pushes images.
type Pusher interface {
	webhook.Promiser
	webhook.Pusher
}

// Reconcile restarts a workload if it asks for restarts, and the host has a newer build of an image that its pods run.
func (r *Reconciler) Reconcile(ctx context.Context, request Request) (reconcile.Result, error) {
	if in, err := r.asks(ctx, request); err != nil || !in {
		return reconcile.Result{}, err
	}
	object := request.Kind.newObject()
	if err := r.Reader.Get(ctx, request.ObjectKey, object); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	w := newWorkload(request.Kind, object)
	pods, err := w.currentPods(ctx, r.Reader)
	if err != nil {
		return reconcile.Result{}, err
	}
	now, known := time.Now(), r.remember(request)
	hold, rolling := known.pace.wait(now, w.restartedAt()), rolloutOf(w, pods).wait(now)
	if wait := max(hold, rolling); hold > 0 || rolling > 0 && w.restartedByUs() {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	found := r.compare(ctx, pods)
	for _, image := range found.pushing {
		r.pushes.add(image)
	}
	reason := r.skips(w, found)
	switch {
	case reason != "":
		r.skip(ctx, request, w, reason)
		return reconcile.Result{}, nil
	case found.stale == "":
		pause := found.pause(rolling)
		known.rest(now, pause)
		return reconcile.Result{RequeueAfter: pause}, nil
	case rolling > 0:
		r.skip(ctx, request, w, "its rollout is not complete; it is checked again when it is")
		return reconcile.Result{RequeueAfter: rolling}, nil
	}
	return r.restart(ctx, request, w, found)
}

// pause returns the time until the next check if there is nothing to restart for yet, or 0 if only an event causes one. rolling is the
// time until the next check of a rollout, or 0.
func (f *finding) pause(rolling time.Duration) time.Duration {
	switch {
	case f.unknown:
		return unknownPause
	case len(f.pushing) > 0:
		return pushingPause
	}
	return rolling
}

// skips returns why the workload is not restarted although it asks for it, or "".
func (r *Reconciler) skips(w *workload, found finding) string {
	if found.stale == "" {
		return found.excluded
	}
	if why := obstacle(w); why != "" {
		return why
	}
	return r.excludes(w.GetNamespace(), found.stale)
}

// restart sets the annotation that kubectl rollout restart sets. The API server rejects the patch if the workload has changed since it
// was read.
func (r *Reconciler) restart(ctx context.Context, request Request, w *workload, found finding) (reconcile.Result, error) {
	now := time.Now()
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": w.GetUID(), "resourceVersion": w.GetResourceVersion()},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
			"annotations": map[string]string{config.RestartedAtAnnotation: now.UTC().Format(time.RFC3339)},
		}}},
	})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("writing the patch: %w", err)
	}
	err = r.Client.Patch(ctx, w.Object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldManager))
	switch {
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, nil
	case apierrors.IsConflict(err):
		return reconcile.Result{RequeueAfter: conflictPause}, nil
	case err != nil:
		r.Metrics.count(request.Kind, failed)
		return reconcile.Result{}, fmt.Errorf("restarting %s: %w", request, err)
	}
	r.Metrics.count(request.Kind, restarted)
	log.FromContext(ctx).Info("workload restarted", "image", found.stale, "digest", found.digest)
	r.Events.Eventf(w.reference(), nil, corev1.EventTypeNormal, restartedReason, restartAction,
		"The host has a newer build of %q: %s; the pods ran %s", found.stale, found.digest, found.ran)
	known := r.remember(request)
	known.stated, known.pace = "", known.pace.next(now)
	return reconcile.Result{RequeueAfter: known.pace.hold}, nil // to check that the new pods run the newest build
}

// skip reports why the workload is not restarted, unless it has reported the same before.
func (r *Reconciler) skip(ctx context.Context, request Request, w *workload, why string) {
	known := r.remember(request)
	if known.stated == why {
		return
	}
	known.stated = why
	r.Metrics.count(request.Kind, skipped)
	log.FromContext(ctx).Info("workload not restarted", "reason", why)
	r.Events.Eventf(w.reference(), nil, corev1.EventTypeNormal, skippedReason, restartAction, "Not restarted on a rebuild: %.800s", why)
}

// remember returns what is remembered about the workload.
func (r *Reconciler) remember(request Request) *memory {
	if r.known[request] == nil {
		r.known[request] = &memory{}
	}
	return r.known[request]
}

// rest notes that there is nothing to restart for. If there is nothing to wait for either, the workload runs the newest build, and the
// next build begins a new series.
func (m *memory) rest(now time.Time, pause time.Duration) {
	m.stated = ""
	if pause == 0 && m.pace.current.IsZero() {
		m.pace.current = now
	}
}

// asks reports whether the workload asks for restarts. It reads the cache.
func (r *Reconciler) asks(ctx context.Context, request Request) (bool, error) {
	found := metadataOf(string(request.Kind))
	if err := r.Client.Get(ctx, request.ObjectKey, found); err != nil {
		delete(r.known, request)
		return false, client.IgnoreNotFound(err)
	}
	labels, err := r.namespaceLabels(ctx, request.Namespace)
	return optedIn(found.Annotations, labels), err
}

// namespaceLabels returns the labels of a namespace. It reads the cache.
func (r *Reconciler) namespaceLabels(ctx context.Context, name string) (map[string]string, error) {
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err := r.Client.Get(ctx, types.NamespacedName{Name: name}, found)
	return found.Labels, client.IgnoreNotFound(err)
}
