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
	// maxHeals is how often one pod is healed.
	maxHeals = 3
	// healPause is the time between two heals of a pod: after a patch, the kubelet briefly reports the old image's failure for
	// the new image.
	healPause = 15 * time.Second
)

// Decisions decides about images of a pod that exists, by the current rules and images.
type Decisions interface {
	// Reconsider decides about fields that the kubelet cannot pull.
	Reconsider(ctx context.Context, pod *podimage.Pod, fields []podimage.Field) []webhook.Outcome
	// Exclusion returns why the rules leave the image alone in that pod, or nil.
	Exclusion(ctx context.Context, pod *podimage.Pod, image string) *rewrite.Refusal
}

// eligible reports whether the controller may change images of the pod: its namespace is not exempt.
func eligible(pod *podimage.Pod) bool {
	return !slices.Contains(config.ExemptNamespaces(), pod.Namespace)
}

// heal rewrites images that the kubelet cannot pull, once the registry has them. A pod needs that if it was created or updated
// while the webhook was unavailable, or if the registry has lost its image.
func (r *Reconciler) heal(ctx context.Context, pod *podimage.Pod) (reconcile.Result, error) {
	before := podimage.ReadHealed(pod.Pod)
	if wait := time.Until(before.Last.Add(healPause)); wait > 0 && wait <= healPause {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	outcomes := r.Decisions.Reconsider(ctx, pod, pod.Unpullable())
	if err := r.pushNeeded(ctx, outcomes); err != nil {
		return reconcile.Result{}, err
	}
	outcomes = slices.DeleteFunc(outcomes, func(o webhook.Outcome) bool { return !o.Decision.Changed() })
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
		r.Events.Eventf(reference(pod.Pod, o.Field.Path), nil, corev1.EventTypeNormal, healed, heal,
			"%q cannot be pulled: running %q from the local registry", o.Field.Image, o.Decision.Rewritten)
		log.FromContext(ctx).Info("image healed", "field", o.Field.Path, "image", o.Field.Image,
			"rewritten", o.Decision.Rewritten, "reason", o.Decision.Reason)
	}
	return reconcile.Result{}, nil
}

// healPatch returns the patch that gives the pod its rewritten images. It fails for a pod that has changed since.
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

// pushNeeded has the images pushed that the decisions need pushed. It returns the errors that may pass.
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

// unusedForm returns the rewritten image in a form that differs from the pod's image: the kubelet backs off by reference, for
// up to five minutes, and would not soon retry the same reference.
func unusedForm(image string, decision rewrite.Decision) string {
	if image != decision.Rewritten {
		return decision.Rewritten
	}
	return podimage.Untagged(decision.Rewritten)
}
