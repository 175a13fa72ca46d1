package restart

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

// rewritten is a field of a pod with a rewritten image, and the digest to which the image is pinned.
type rewritten struct {
	field  podimage.Field // with the original image
	digest string
}

// rewrittenFields returns the pod's fields with a rewritten image that is pinned. A gated pod gets the newest build by itself.
func rewrittenFields(pod *podimage.Pod) []rewritten {
	var fields []rewritten
	for _, field := range podimage.Fields(pod.Pod) {
		original := pod.Original(field)
		if _, digest, pinned := strings.Cut(field.Image, "@"); pinned && original != field.Image {
			fields = append(fields, rewritten{field.With(original), digest})
		}
	}
	return fields
}

// finding is the result of comparing the pods' builds with the host's.
type finding struct {
	// stale is the image of which the host has a newer build, or "". digest is that build's.
	stale, digest string
	// ran is the build that a pod runs.
	ran string
	// excluded describes the rule or annotation because of which new pods would keep the original image, or is "".
	excluded string
	// unknown reports whether a lookup failed. pushing lists images whose newer build the registry does not have yet.
	unknown bool
	pushing []string
}

// Decisions decides about images of existing pods.
type Decisions interface {
	// Current decides again about fields of a running pod, using the current rules and the images that the host has now.
	Current(ctx context.Context, pod *podimage.Pod, fields []podimage.Field) []webhook.Outcome
}

// compare compares the builds that the pods run with those that the host has.
func (r *Reconciler) compare(ctx context.Context, pods []corev1.Pod) finding {
	var found finding
	decided := map[string]rewrite.Decision{} // by field and original image
	for i := range pods {
		pod := podimage.Read(&pods[i], r.RegistryHost)
		fields := rewrittenFields(pod)
		var open []podimage.Field
		for _, f := range fields {
			if _, known := decided[f.field.Path+f.field.Image]; !known {
				open = append(open, f.field)
			}
		}
		if len(open) > 0 {
			for _, o := range r.Decisions.Current(ctx, pod, open) {
				decided[o.Field.Path+o.Field.Image] = r.promised(ctx, o.Decision)
			}
		}
		for _, f := range fields {
			found.add(f, decided[f.field.Path+f.field.Image])
		}
	}
	return found
}

// promised returns the decision after promising its image, if it must be pushed and can be promised.
func (r *Reconciler) promised(ctx context.Context, decision rewrite.Decision) rewrite.Decision {
	if decision.Reason != rewrite.RewrittenPushing {
		return decision
	}
	ctx, cancel := context.WithTimeout(ctx, promiseTime)
	defer cancel()
	digest, err := r.Pusher.Promise(ctx, decision.Image)
	if err != nil {
		return decision
	}
	decision, _ = decision.AfterPush(digest, nil) // without an error, it returns none
	return decision
}

// add adds what the decision means for a field.
func (f *finding) add(field rewritten, decision rewrite.Decision) {
	switch decision.Reason {
	case rewrite.Rewritten:
		if decision.Digest != field.digest {
			f.stale, f.digest, f.ran = field.field.Image, decision.Digest, field.digest
		}
	case rewrite.RewrittenPushing:
		f.pushing = append(f.pushing, decision.Image)
	case rewrite.LookupUnavailable:
		f.unknown = true
	case rewrite.ExcludedByRule, rewrite.OptedOut:
		f.excluded = strings.TrimSuffix(string(decision.Reason)+": "+decision.Detail, ": ")
	}
}
