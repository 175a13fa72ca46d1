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
	// mostHeals is how often one pod is given other images before it is left as it is.
	mostHeals = 3
	// healPause is how long it is from one time to the next. For a moment the kubelet says of the new image what it knows of
	// the old one.
	healPause = 15 * time.Second
)

// Reconsiderer decides about images of a pod that exists, by the current rules and images.
type Reconsiderer interface {
	// Reconsider decides about fields that the kubelet cannot pull.
	Reconsider(ctx context.Context, pod *podimage.Pod, fields []podimage.Field) []webhook.Outcome
	// Exclusion returns why the rules leave the image alone in that pod, or nil.
	Exclusion(ctx context.Context, pod *podimage.Pod, image string) *rewrite.Refusal
}

// eligible reports whether the controller may change images of the pod: its namespace is not exempt.
func eligible(pod *podimage.Pod) bool {
	return !slices.Contains(config.ExemptNamespaces(), pod.Namespace)
}

// heal patches images that the kubelet cannot pull, and that the host or the registry has, once they are pushed: the webhook
// was away when the pod was created or updated, or the registry has lost them since.
func (r *Reconciler) heal(ctx context.Context, pod *podimage.Pod) (reconcile.Result, error) {
	before := podimage.ReadHealed(pod.Pod)
	if wait := time.Until(before.Last.Add(healPause)); wait > 0 && wait <= healPause {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	outcomes := r.Decider.Reconsider(ctx, pod, pod.Unpullable())
	if err := r.pushNeeded(ctx, outcomes); err != nil {
		return reconcile.Result{}, err
	}
	outcomes = slices.DeleteFunc(outcomes, func(o webhook.Outcome) bool { return !o.Decision.Changed() })
	if len(outcomes) == 0 {
		return reconcile.Result{}, nil
	}
	if before.Times >= mostHeals {
		r.Events.Eventf(reference(pod.Pod, ""), nil, corev1.EventTypeWarning, healFailed, giveUp,
			"The images of this pod cannot be pulled, although it was given the host's %d times; see the kubelet's Events", before.Times)
		return reconcile.Result{}, nil
	}
	patch, err := healing(pod, outcomes, podimage.Healed{Times: before.Times + 1, Last: time.Now().UTC()})
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := r.apply(ctx, pod.Pod, patch); err != nil {
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

// healing returns the patch that gives the pod the images that were decided on. It applies to the pod as it was read.
func healing(pod *podimage.Pod, outcomes []webhook.Outcome, healed podimage.Healed) ([]jsonpatch.Operation, error) {
	originals := map[string]string{}
	patch := []jsonpatch.Operation{podimage.TestUID(pod.Pod)}
	for _, now := range podimage.Fields(pod.Pod) {
		for _, o := range outcomes {
			if o.Field.Path == now.Path {
				originals[now.Path] = o.Field.Image
				patch = append(patch, now.TestImage(), now.ReplaceImage(other(now.Image, o.Decision)))
			}
		}
	}
	annotate, err := pod.AnnotateHealed(originals, healed)
	return append(patch, annotate...), err
}

// pushNeeded pushes what the decisions want pushed. What is refused is left as it is; any other error may pass.
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

// other returns the reference that the decision gives, in a form in which the pod does not have it yet: the kubelet backs
// off by reference, for up to five minutes, and so would not soon try the same one again.
func other(image string, decision rewrite.Decision) string {
	if image != decision.Rewritten {
		return decision.Rewritten
	}
	return podimage.Untagged(decision.Rewritten)
}
