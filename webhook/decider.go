package webhook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook/lookup"
	"kind-local-registry/webhook/podimage"
)

const (
	// maxConcurrent limits how many of one pod's images are looked up concurrently. It is less than lookup.MaxConcurrent, so that
	// one pod does not block others.
	maxConcurrent = 8
	// decideTime limits the time for all of one pod's lookups. It is slightly longer than lookup.Timeout, so that an unanswered
	// lookup times out first and opens the circuit breaker.
	decideTime = lookup.Timeout + 100*time.Millisecond
	// Budget is the longest time that the webhook takes to answer for a pod. It covers looking up the images, and then pushing those
	// whose references cannot change later. The timeout that the chart sets for the API server's call is longer.
	Budget = decideTime + pushTime
)

// Decider decides about a pod's images. Both admission and setup explain use it, so that the explanation matches what happens.
type Decider struct {
	// RegistryHost is the registry's host in rewritten images, such as localhost:5001.
	RegistryHost string
	// Looker looks up each image.
	Looker lookup.Looker
	// Rules returns the current rules.
	Rules func() rules.Rules
	// FromRegistry allows using an image that only the registry still has.
	FromRegistry bool
}

// Subject describes the pod to decide about and its request.
type Subject struct {
	// Pod is the pod in the request.
	Pod *podimage.Pod
	// Fields are the image fields to decide about.
	Fields []podimage.Field
	// Namespace is the name of the pod's namespace, and Labels are that namespace's labels.
	Namespace string
	Labels    map[string]string
	// Old is the pod before the update, or nil if the pod is being created.
	Old *podimage.Pod
	// Ephemeral reports whether the fields belong to ephemeral containers that the request adds.
	Ephemeral bool
	// Looping reports whether the pod's owner keeps recreating it; see LoopGuard.
	Looping bool
}

// Outcome is the decision about one of the pod's image fields.
type Outcome struct {
	// Field is the image field. Its Image is the original image.
	Field podimage.Field
	// Decision is the decision about the field's image.
	Decision rewrite.Decision
}

// Decide decides about the original image of each of the subject's fields. It returns the outcomes in the order of the fields.
// All lookups together take decideTime at most.
func (d *Decider) Decide(ctx context.Context, subject Subject) []Outcome {
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	inForce := d.Rules()
	outcomes, open := d.settle(subject, inForce)
	if len(open) == 1 { // most pods have one image: no goroutine is needed
		open[0].Decision = d.decide(ctx, inForce, open[0].Field)
		return outcomes
	}
	var deciding errgroup.Group
	deciding.SetLimit(maxConcurrent)
	for _, outcome := range open {
		deciding.Go(func() error {
			outcome.Decision = d.decide(ctx, inForce, outcome.Field)
			return nil
		})
	}
	_ = deciding.Wait() // no decision fails
	return outcomes
}

// settle decides about the fields that need no lookup. It returns an outcome for every field; open lists the outcomes that still
// need a decision.
func (d *Decider) settle(subject Subject, inForce rules.Rules) (outcomes []Outcome, open []*Outcome) {
	reason, detail := subject.leftAlone(inForce)
	outcomes = make([]Outcome, len(subject.Fields))
	for i, field := range subject.Fields {
		outcome := &outcomes[i]
		outcome.Field = field.With(subject.Pod.Original(field))
		switch kept := subject.kept(outcome.Field); {
		case kept != "":
			outcome.Decision = rewrite.Decision{Image: outcome.Field.Image, Rewritten: kept, Reason: rewrite.Kept}
		case reason != "":
			outcome.Decision = rewrite.Unchanged(outcome.Field.Image, reason, detail)
		case subject.neverPulled(outcome.Field):
			outcome.Decision = rewrite.Unchanged(outcome.Field.Image, rewrite.OptedOut, "imagePullPolicy: Never, which an update cannot change")
		default:
			open = append(open, outcome)
		}
	}
	return outcomes, open
}

// kept returns the field's image from before the update, if the update only changes it back from the rewritten image to the
// original one. Keeping the rewritten image avoids restarting the container. kept returns "" for any other field, and for a pod
// that opts out.
func (s Subject) kept(field podimage.Field) string {
	if s.Old == nil || s.Ephemeral || podimage.OptedOut(s.Pod.Pod, nil) {
		return ""
	}
	old := s.before(field)
	original := s.Old.Original(old)
	if original != old.Image && sameImage(original, field.Image) {
		return old.Image
	}
	return ""
}

// before returns the field as it was before the update, or the zero Field if it is new.
func (s Subject) before(field podimage.Field) podimage.Field {
	fields := podimage.Fields(s.Old.Pod)
	if i := slices.IndexFunc(fields, func(old podimage.Field) bool { return old.Path == field.Path }); i >= 0 {
		return fields[i]
	}
	return podimage.Field{}
}

// neverPulled reports whether the field already had the pull policy Never before this update. An update cannot change the policy,
// so the kubelet could not pull a rewritten image.
func (s Subject) neverPulled(field podimage.Field) bool {
	return s.Old != nil && !s.Ephemeral && s.before(field).PullPolicy == corev1.PullNever
}

// sameImage reports whether two references normalise to the same reference.
func sameImage(a, b string) bool {
	one, err := rewrite.Parse(a)
	if err != nil {
		return a == b
	}
	other, err := rewrite.Parse(b)
	return err == nil && one.String() == other.String()
}

// unpinnable reports whether the field cannot be pinned after this request. This is the case if the API server forbids changing
// the field, or if the pod has no gate and cannot get one, because it has a node or already exists.
func (s Subject) unpinnable(field podimage.Field) bool {
	return field.Final || s.Pod.Spec.NodeName != "" || s.Old != nil && !podimage.Gated(s.Pod.Pod)
}

// leftAlone returns why all of the pod's images stay unchanged, or "" if they may be rewritten.
func (s Subject) leftAlone(inForce rules.Rules) (reason rewrite.Reason, detail string) {
	rule := inForce.ExcludesNamespace(s.Namespace)
	if rule == "" && !podimage.OptedIn(s.Pod.Pod) {
		rule = inForce.ExcludesPod(s.Pod.Labels)
	}
	switch {
	case podimage.Mirror(s.Pod.Pod):
		return rewrite.MirrorPod, ""
	case podimage.OptedOut(s.Pod.Pod, s.Labels):
		return rewrite.OptedOut, ""
	case rule != "":
		return rewrite.ExcludedByRule, rule
	case s.Looping:
		return rewrite.LoopGuard, ""
	}
	return "", ""
}

// decide decides about one field. It recovers from a panic, because it may run in its own goroutine.
func (d *Decider) decide(ctx context.Context, inForce rules.Rules, field podimage.Field) (decision rewrite.Decision) {
	defer func() {
		if fault := recover(); fault != nil {
			decision = rewrite.Unchanged(field.Image, rewrite.LookupUnavailable, fmt.Sprintf("panic: %v", fault))
		}
	}()
	question := rewrite.Question{
		Image:        field.Image,
		RegistryHost: d.RegistryHost,
		ExcludedBy:   func(name rewrite.Name) string { return d.excludes(inForce, name) },
		LeavePulled:  field.Always() && inForce.AlwaysPull == rules.AlwaysPullUpstream,
		FromRegistry: d.FromRegistry,
	}
	return rewrite.Decide(question, func(name rewrite.Name) (rewrite.Presence, error) {
		return d.Looker.Lookup(ctx, name)
	})
}

// excludes returns the rule that excludes the image, or "" if there is none. A rule that excludes an original image also excludes
// the image's name in the registry.
func (d *Decider) excludes(inForce rules.Rules, name rewrite.Name) string {
	for _, known := range append([]rewrite.Name{name}, name.Aliases(d.RegistryHost)...) {
		if rule := inForce.ExcludesImage(known.String()); rule != "" {
			return rule
		}
	}
	return ""
}

// Exclusion returns why the current rules exclude the image in that pod, or nil if they do not.
func (d *Decider) Exclusion(pod *podimage.Pod, labels map[string]string, image string) *rewrite.Refusal {
	inForce := d.Rules()
	if slices.Contains(config.ExemptNamespaces(), pod.Namespace) {
		return &rewrite.Refusal{Reason: rewrite.ExcludedByRule, Detail: "namespace " + pod.Namespace + " is exempt"}
	}
	if reason, detail := (Subject{Pod: pod, Namespace: pod.Namespace, Labels: labels}).leftAlone(inForce); reason != "" {
		return &rewrite.Refusal{Reason: reason, Detail: detail}
	}
	name, err := rewrite.Parse(image)
	if err != nil {
		return &rewrite.Refusal{Reason: rewrite.InvalidReference, Detail: err.Error()}
	}
	if rule := d.excludes(inForce, name); rule != "" {
		return &rewrite.Refusal{Reason: rewrite.ExcludedByRule, Detail: rule}
	}
	return nil
}
