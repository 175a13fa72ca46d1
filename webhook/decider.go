package webhook

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
	"kind-local-registry/webhook/podimage"
	"kind-local-registry/webhook/rewrite"
)

// parallel is how many images of one pod are looked up at once.
const parallel = 16

// Decider decides what becomes of the images of a pod. Admission asks it, and so do the commands that explain, so that
// what is explained is what happens.
type Decider struct {
	// RegistryHost is the registry's host in every rewritten reference, such as localhost:5001.
	RegistryHost string
	// Looker is asked about every image, for at most lookupTime in all.
	Looker Looker
	// Rules returns the rules that hold now.
	Rules func() config.Rules
}

// Subject is what is decided about.
type Subject struct {
	// Pod is the pod as it came.
	Pod *corev1.Pod
	// Fields are the fields of the pod that are decided about.
	Fields []podimage.Field
	// Namespace is the name of the pod's namespace, and Labels are the namespace's labels.
	Namespace string
	Labels    map[string]string
	// Ephemeral says that the fields are ephemeral containers which are being added to the pod.
	Ephemeral bool
	// Looping says that the pod's owner recreates it over and over, see LoopGuard.
	Looping bool
}

// Outcome is what was decided about one field of a pod.
type Outcome struct {
	// Field is the field, as the pod came.
	Field podimage.Field
	// Decision is what becomes of its image.
	Decision rewrite.Decision
}

// Decide decides about every field of the subject, in their order. It waits for no look-up longer than lookupTime.
func (d *Decider) Decide(ctx context.Context, subject Subject) []Outcome {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	rules := d.Rules()
	outcomes := make([]Outcome, len(subject.Fields))
	if reason, detail := subject.leftAlone(rules); reason != "" {
		for i, field := range subject.Fields {
			outcomes[i] = Outcome{Field: field, Decision: rewrite.Unchanged(field.Image, reason, detail)}
		}
		return outcomes
	}
	if len(subject.Fields) == 1 { // as most pods have, which need no goroutine
		field := subject.Fields[0]
		return []Outcome{{Field: field, Decision: d.decide(ctx, rules, field)}}
	}
	var deciding errgroup.Group
	deciding.SetLimit(parallel)
	for i, field := range subject.Fields {
		deciding.Go(func() error {
			outcomes[i] = Outcome{Field: field, Decision: d.decide(ctx, rules, field)}
			return nil
		})
	}
	_ = deciding.Wait() // no decision fails
	return outcomes
}

// leftAlone returns why the whole pod is left alone, or "" where it is not.
func (s Subject) leftAlone(rules config.Rules) (reason rewrite.Reason, detail string) {
	rule := rules.ExcludesNamespace(s.Namespace)
	if rule == "" && !podimage.OptedIn(s.Pod) {
		rule = rules.ExcludesPod(s.Pod.Labels)
	}
	switch {
	case podimage.Mirror(s.Pod):
		return rewrite.MirrorPod, ""
	case podimage.OptedOut(s.Pod, s.Labels):
		return rewrite.OptedOut, ""
	case rule != "":
		return rewrite.ExcludedByRule, rule
	case s.Looping:
		return rewrite.LoopGuard, ""
	}
	return "", ""
}

// again says whether the pod has been here before, as it has when another webhook changed it after us.
func (s Subject) again(registryHost string) bool {
	originals := podimage.ReadOriginals(s.Pod)
	for _, field := range s.Fields {
		if originals.Written(field, registryHost) != field.Image {
			return true
		}
	}
	return false
}

// decide decides about one field. It may run in a goroutine of its own, so it has its own recover.
func (d *Decider) decide(ctx context.Context, rules config.Rules, field podimage.Field) (decision rewrite.Decision) {
	defer func() {
		if fault := recover(); fault != nil {
			decision = rewrite.Unchanged(field.Image, rewrite.LookupUnavailable, fmt.Sprintf("panic: %v", fault))
		}
	}()
	question := rewrite.Question{
		Image:        field.Image,
		RegistryHost: d.RegistryHost,
		ExcludedBy:   func(name rewrite.Name) string { return rules.ExcludesImage(name.String()) },
		LeavePulled:  field.Always() && rules.AlwaysPull == config.AlwaysPullUpstream,
	}
	return rewrite.Decide(question, func(name rewrite.Name) (rewrite.Presence, error) {
		return d.Looker.Lookup(ctx, name.String())
	})
}
