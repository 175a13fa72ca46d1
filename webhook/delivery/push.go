package delivery

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

// leastAttempt is how long a push may take that begins near the deadline or after it, as one does when the controller
// comes back after a long time.
const leastAttempt = time.Minute

// pushed is what came of one waiting field.
type pushed struct {
	podimage.Waiting

	digest string
	err    error
}

// refused says whether the image can never be pushed.
func (p pushed) refused() bool { return rewrite.ReasonOf(p.err) != "" }

// settled returns what the field has in the end: the image by its digest where it was pushed, and what its author wrote
// where it was not.
func (p pushed) settled() podimage.Settled {
	if p.err != nil {
		return p.Restored()
	}
	return p.Pushed(p.digest)
}

// push pushes the images of all fields at once, each distinct one once, and returns what came of every field. Meanwhile the
// pod shows how far that is.
func (r *Reconciler) push(ctx context.Context, pod *podimage.Pod, fields []podimage.Waiting) []pushed {
	moving := &progress{byImage: map[string]webhook.Progress{}}
	defer r.show(ctx, pod.Pod, moving)()
	ctx, cancel := context.WithTimeout(ctx, max(r.untilDeadline(pod.Pod), leastAttempt))
	defer cancel()
	outcomes := make([]pushed, len(fields))
	first := map[string]int{} // by what is pushed, the first field that has it
	var pushing sync.WaitGroup
	for i, field := range fields {
		if _, known := first[field.Pushes()]; known {
			continue
		}
		first[field.Pushes()] = i
		pushing.Go(func() { outcomes[i] = r.pushOne(ctx, pod, field, moving) })
	}
	pushing.Wait()
	for i, field := range fields {
		of := outcomes[first[field.Pushes()]]
		field.ByBuild = of.ByBuild
		outcomes[i] = pushed{Waiting: field, digest: of.digest, err: of.err}
	}
	return outcomes
}

// pushOne pushes the image of one field, unless the rules exclude it by now, and tells so in Events on the pod and in the log.
// If the build that the field names is gone, it is the host's new one that is pushed.
func (r *Reconciler) pushOne(ctx context.Context, pod *podimage.Pod, field podimage.Waiting, moving *progress) pushed {
	if refusal := r.Decisions.Exclusion(ctx, pod, field.Original); refusal != nil {
		return pushed{Waiting: field, err: refusal}
	}
	start := time.Now()
	r.event(pod.Pod, field, pushBegun, push, "Pushing image %q from the host into the local registry", field.Original)
	report := func(now webhook.Progress) { moving.report(field.Original, now) }
	digest, err := r.Pusher.Push(ctx, field.Pushes(), report)
	if field.ByBuild && rewrite.ReasonOf(err) == rewrite.NotOnHost {
		field = field.ByTag()
		digest, err = r.Pusher.Push(ctx, field.Pushes(), report)
	}
	if err != nil {
		return pushed{Waiting: field, err: fmt.Errorf("pushing %s: %w", field.Original, err)}
	}
	took := time.Since(start).Round(time.Millisecond)
	r.event(pod.Pod, field, pushDone, push, "Pushed image %q in %s%s: %s", field.Original, took, moving.moved(field.Original), digest)
	log.FromContext(ctx).Info("image pushed",
		"field", field.Path, "image", field.Original, "digest", digest, "duration", took.String())
	return pushed{Waiting: field, digest: digest}
}

// untilDeadline returns how long it is until the pod runs what its author wrote, whatever fails. It reads the wall clock:
// a computer that slept has not stopped the pod's time.
func (r *Reconciler) untilDeadline(pod *corev1.Pod) time.Duration {
	return time.Until(pod.CreationTimestamp.Add(r.Deadline))
}
