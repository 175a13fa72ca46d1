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

// minAttempt is how long a push may take even if it begins shortly before the deadline or after it. A push begins that late if,
// for example, the controller was unavailable for a long time.
const minAttempt = time.Minute

// pushed is the result of pushing one field's image.
type pushed struct {
	podimage.Waiting

	digest string
	err    error
}

// refused reports whether the image can never be pushed.
func (p pushed) refused() bool { return rewrite.ReasonOf(p.err) != "" }

// settled returns the field with its new image: the pinned image if the push succeeded, and otherwise the original image.
func (p pushed) settled() podimage.Settled {
	if p.err != nil {
		return p.Restored()
	}
	return p.Pushed(p.digest)
}

// push pushes the fields' distinct images concurrently, and returns the result for each field. It shows the pushes' progress in
// the pod's annotation.
func (r *Reconciler) push(ctx context.Context, pod *podimage.Pod, fields []podimage.Waiting) []pushed {
	moving := &progress{byImage: map[string]webhook.Progress{}}
	defer r.show(ctx, pod.Pod, moving)()
	ctx, cancel := context.WithTimeout(ctx, max(r.untilDeadline(pod.Pod), minAttempt))
	defer cancel()
	outcomes := make([]pushed, len(fields))
	first := map[string]int{} // the first field for each reference to push
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

// pushOne pushes one field's image, unless the rules now exclude it. It writes Events about the pod, and a log line. If the build
// that the field names is gone, pushOne pushes the host's current build instead.
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

// untilDeadline returns the time until the pod gets its original images if its pushes keep failing. It uses the wall clock, so
// the time that a computer sleeps is included.
func (r *Reconciler) untilDeadline(pod *corev1.Pod) time.Duration {
	return time.Until(pod.CreationTimestamp.Add(r.Deadline))
}
