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
	// parallel is how many images of one pod are looked up concurrently: a part of lookup.MaxConcurrent, so that other pods go on.
	parallel = 8
	// decideTime bounds all lookups of one pod. It is a little more than lookup.Timeout, so that a lookup which is not answered
	// ends by itself, as silent, before the pod stops waiting.
	decideTime = lookup.Timeout + 100*time.Millisecond
)

// Decider decides what becomes of the images of a pod. Admission asks it, and so do the commands that explain, so that
// what is explained is what happens.
type Decider struct {
	// RegistryHost is the registry's host in every rewritten reference, such as localhost:5001.
	RegistryHost string
	// Looker is asked about every image, for at most decideTime in all.
	Looker lookup.Looker
	// Rules returns the rules that hold now.
	Rules func() rules.Rules
	// FromRegistry takes an image that the host no longer has from the registry, if that serves it.
	FromRegistry bool
}

// Subject is what is decided about.
type Subject struct {
	// Pod is the pod of the request.
	Pod *podimage.Pod
	// Fields are the fields of the pod that are decided about.
	Fields []podimage.Field
	// Namespace is the name of the pod's namespace, and Labels are the namespace's labels.
	Namespace string
	Labels    map[string]string
	// Old is the pod before an update; nil if the pod is being created.
	Old *podimage.Pod
	// Ephemeral says that the fields are ephemeral containers which are being added to the pod.
	Ephemeral bool
	// Looping says that the pod's owner recreates it over and over, see LoopGuard.
	Looping bool
}

// Outcome is what was decided about one field of a pod.
type Outcome struct {
	// Field is the field, with its original image.
	Field podimage.Field
	// Decision is what becomes of its image.
	Decision rewrite.Decision
}

// Decide decides about every field of the subject, in their order, by its original image. It waits for lookups no longer than
// decideTime.
func (d *Decider) Decide(ctx context.Context, subject Subject) []Outcome {
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	inForce := d.Rules()
	outcomes, open := d.settle(subject, inForce)
	if len(open) == 1 { // as most pods have, which need no goroutine
		open[0].Decision = d.decide(ctx, inForce, open[0].Field)
		return outcomes
	}
	var deciding errgroup.Group
	deciding.SetLimit(parallel)
	for _, outcome := range open {
		deciding.Go(func() error {
			outcome.Decision = d.decide(ctx, inForce, outcome.Field)
			return nil
		})
	}
	_ = deciding.Wait() // no decision fails
	return outcomes
}

// settle returns the outcomes of the subject, with the decisions for which nothing has to be looked up, and those that are
// open.
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

// kept returns the image that the field has before an update which names its original image: what runs goes on. It returns
// "" for any other field, and for a pod that opts out.
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

// before returns the field as it was before the update; the zero Field if it was not there.
func (s Subject) before(field podimage.Field) podimage.Field {
	fields := podimage.Fields(s.Old.Pod)
	if i := slices.IndexFunc(fields, func(old podimage.Field) bool { return old.Path == field.Path }); i >= 0 {
		return fields[i]
	}
	return podimage.Field{}
}

// neverPulled reports whether the pod runs with the pull policy Never, which an update cannot change: what is rewritten could
// not be pulled.
func (s Subject) neverPulled(field podimage.Field) bool {
	return s.Old != nil && !s.Ephemeral && s.before(field).PullPolicy == corev1.PullNever
}

// sameImage reports whether two references name the same image, in whatever form.
func sameImage(a, b string) bool {
	one, err := rewrite.Parse(a)
	if err != nil {
		return a == b
	}
	other, err := rewrite.Parse(b)
	return err == nil && one.String() == other.String()
}

// unpinnable reports whether nobody can pin the field to a digest once the request is answered: its reference is final, or
// the pod cannot be gated, as the kubelet has it already.
func (s Subject) unpinnable(field podimage.Field) bool {
	return field.Final || s.Pod.Spec.NodeName != "" || s.Old != nil && !podimage.Gated(s.Pod.Pod)
}

// leftAlone returns why the whole pod is left alone, or "" where it is not.
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

// decide decides about one field. It may run in a goroutine of its own, so it has its own recover.
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

// excludes returns the rule that leaves the image alone, or "". A name of the registry itself is excluded by a rule for the
// image that it stands for, too.
func (d *Decider) excludes(inForce rules.Rules, name rewrite.Name) string {
	for _, known := range append([]rewrite.Name{name}, name.Aliases(d.RegistryHost)...) {
		if rule := inForce.ExcludesImage(known.String()); rule != "" {
			return rule
		}
	}
	return ""
}

// Exclusion returns why the rules that hold now leave the image alone in that pod, or nil.
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
