package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

const (
	// maxHeals limits how often one pod is healed.
	maxHeals = 3
	// healPause is the minimum time between two heals of a pod. After a patch, the kubelet briefly reports the old image's failure
	// for the new image.
	healPause = 15 * time.Second
)

// Decisions decides about an existing pod's images, using the current rules and the images that exist now.
type Decisions interface {
	// Reconsider decides again about fields whose images the kubelet cannot pull.
	Reconsider(ctx context.Context, pod *podimage.Pod, fields []podimage.Field) []webhook.Outcome
	// Exclusion returns why the rules exclude the image in that pod, or nil if they do not.
	Exclusion(ctx context.Context, pod *podimage.Pod, image string) *rewrite.Refusal
}

// eligible reports whether the pod's namespace is eligible. Only then may the controller change the pod's images.
func eligible(pod *podimage.Pod) bool {
	return !slices.Contains(config.ExemptNamespaces(), pod.Namespace)
}

// heal rewrites the images that the kubelet cannot pull. It first pushes those that the registry does not have. A pod must be
// healed if it was created or updated while the webhook was unavailable, or if the registry has lost its image.
func (r *Reconciler) heal(ctx context.Context, pod *podimage.Pod) (reconcile.Result, error) {
	before := podimage.ReadHealed(pod.Pod)
	if wait := time.Until(before.Last.Add(healPause)); wait > 0 && wait <= healPause {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	outcomes := r.Decisions.Reconsider(ctx, pod, pod.Unpullable())
	r.reportMissing(ctx, pod, outcomes)
	if err := r.pushNeeded(ctx, outcomes); err != nil {
		return reconcile.Result{}, err
	}
	outcomes = slices.DeleteFunc(outcomes, func(o webhook.Outcome) bool { return !o.Decision.Changed() && !lost(pod, o) })
	if len(outcomes) == 0 {
		return reconcile.Result{}, nil
	}
	if before.Times >= maxHeals {
		r.Events.Eventf(reference(pod.Pod, ""), nil, corev1.EventTypeWarning, healFailed, giveUp,
			"The images of this pod cannot be pulled, although it was healed %d times; see the kubelet's Events", before.Times)
		return reconcile.Result{}, nil
	}
	patch, err := healPatch(pod, outcomes, podimage.Healed{Times: before.Times + 1, Last: time.Now().UTC()})
	if err != nil {
		return reconcile.Result{}, err
	}
	if patched, err := r.patch(ctx, pod.Pod, patch); !patched {
		return reconcile.Result{}, err
	}
	for _, o := range outcomes {
		r.reportHealed(ctx, pod, o)
	}
	return reconcile.Result{}, nil
}

// lost reports whether the field has a rewritten image that can no longer be delivered. Either the host lost a promised image
// before it was pushed, or the registry lost a pushed image later. Such a field gets its original image back.
func lost(pod *podimage.Pod, o webhook.Outcome) bool {
	switch o.Decision.Reason {
	case rewrite.NotOnHost, rewrite.Unservable, rewrite.WrongPlatform:
	default:
		return false
	}
	isRewritten := func(now podimage.Field) bool { return now.Path == o.Field.Path && now.Image != o.Field.Image }
	return !o.Field.Final && !slices.Contains(pod.Never(), o.Field.Path) && slices.ContainsFunc(podimage.Fields(pod.Pod), isRewritten)
}

// reportHealed writes an Event and a log line about a field that was healed.
func (r *Reconciler) reportHealed(ctx context.Context, pod *podimage.Pod, o webhook.Outcome) {
	kind, note := corev1.EventTypeNormal, fmt.Sprintf("%q cannot be pulled: running %q from the local registry", o.Field.Image, o.Decision.Rewritten)
	if !o.Decision.Changed() {
		kind = corev1.EventTypeWarning
		note = fmt.Sprintf("The local registry does not have %q, and it cannot be pushed (%s): running the original image", o.Field.Image, o.Decision.Reason)
	}
	r.Events.Eventf(reference(pod.Pod, o.Field.Path), nil, kind, healed, heal, "%s", note)
	log.FromContext(ctx).Info("image healed", "field", o.Field.Path, "image", o.Field.Image,
		"rewritten", o.Decision.Rewritten, "reason", o.Decision.Reason)
}

// healPatch returns the patch that sets the rewritten images. The API server rejects the patch if the pod's images have changed
// since the pod was read.
func healPatch(pod *podimage.Pod, outcomes []webhook.Outcome, healed podimage.Healed) ([]jsonpatch.Operation, error) {
	originals := map[string]string{}
	patch := []jsonpatch.Operation{podimage.TestUID(pod.Pod)}
	for _, now := range podimage.Fields(pod.Pod) {
		for _, o := range outcomes {
			if o.Field.Path == now.Path {
				originals[now.Path] = o.Field.Image
				patch = append(patch, now.TestImage(), now.ReplaceImage(unusedForm(now.Image, o.Decision)))
			}
		}
	}
	annotate, err := pod.AnnotateHealed(originals, healed)
	return append(patch, annotate...), err
}

// pushNeeded pushes the images that the registry does not have yet, and updates their decisions. It returns the errors that may
// be temporary.
func (r *Reconciler) pushNeeded(ctx context.Context, outcomes []webhook.Outcome) error {
	var passing []error
	for i := range outcomes {
		decision := &outcomes[i].Decision
		if decision.Reason == rewrite.LookupUnavailable {
			passing = append(passing, errors.New(decision.Detail))
		}
		if !decision.NeedsPush() {
			continue
		}
		var err error
		if *decision, err = decision.AfterPush(r.Pusher.Push(ctx, decision.Image, nil)); err != nil {
			passing = append(passing, fmt.Errorf("pushing %s: %w", decision.Image, err))
		}
	}
	return errors.Join(passing...)
}

// unusedForm returns the rewritten image as a reference that differs from the pod's current one. The kubelet backs off by
// reference, for up to five minutes, so it would not retry the same reference soon.
func unusedForm(image string, decision rewrite.Decision) string {
	if image != decision.Rewritten {
		return decision.Rewritten
	}
	return podimage.Untagged(decision.Rewritten)
}
