package explain

import (
	"context"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/lookup"
	"kind-local-registry/webhook/podimage"
)

// maxConcurrentPods is how many pods are explained concurrently.
const maxConcurrentPods = 8

// Explainer decides about pods as the webhook would if they were created.
type Explainer struct {
	// RegistryHost is the registry's host in every rewritten reference, such as localhost:5001.
	RegistryHost string
	// Looker looks up images. Each image is looked up only once, even if several pods use it.
	Looker lookup.Looker
	// Rules are the rules in force.
	Rules rules.Rules
	// Labels contains the namespace labels that are already known, by the namespace's name.
	Labels map[string]map[string]string
	// ClusterLabels returns the labels of the namespaces in the cluster. It is called only if a pod is in a namespace that is
	// missing from Labels.
	ClusterLabels func(context.Context) map[string]map[string]string
}

// Explanation describes what the webhook would do with one pod.
type Explanation struct {
	// Subject is what the webhook would decide about. It contains the pod.
	Subject webhook.Subject
	// Outcomes contains one decision for each of the pod's image fields.
	Outcomes []webhook.Outcome
}

// Patch returns the operations that apply the decisions to the pod. They do not add a gate, because the cluster may have no
// running webhook that could ungate the pod.
func (e Explanation) Patch() ([]jsonpatch.Operation, error) {
	return webhook.PatchImages(e.Subject, e.Outcomes)
}

// Explain returns an explanation of each pod, in the order of the pods.
func (e Explainer) Explain(ctx context.Context, pods []*corev1.Pod) []Explanation {
	explaining := e.start(ctx, pods)
	explanations := make([]Explanation, len(pods))
	var group errgroup.Group
	group.SetLimit(maxConcurrentPods)
	for i, pod := range pods {
		group.Go(func() error {
			explanations[i] = explaining.explain(ctx, pod)
			return nil
		})
	}
	_ = group.Wait() // no decision fails
	return explanations
}

// explaining is the state of one call to Explain.
type explaining struct {
	decider *webhook.Decider
	labels  map[string]map[string]string
}

// start prepares a call to Explain. It reads the labels of the cluster's namespaces if the pods need them.
func (e Explainer) start(ctx context.Context, pods []*corev1.Pod) explaining {
	labels := map[string]map[string]string{}
	if slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return !exempt(pod) && e.Labels[pod.Namespace] == nil }) {
		maps.Copy(labels, e.ClusterLabels(ctx))
	}
	maps.Copy(labels, e.Labels)
	inForce := func() rules.Rules { return e.Rules }
	return explaining{&webhook.Decider{RegistryHost: e.RegistryHost, Looker: newOnce(e.Looker), Rules: inForce}, labels}
}

// explain explains one pod.
func (e explaining) explain(ctx context.Context, pod *corev1.Pod) Explanation {
	subject := webhook.Subject{
		Pod: podimage.Read(pod, e.decider.RegistryHost), Fields: podimage.All(pod), Namespace: pod.Namespace, Labels: e.labels[pod.Namespace],
	}
	if exempt(pod) {
		return Explanation{subject, unchanged(subject)}
	}
	return Explanation{subject, e.decider.Decide(ctx, subject)}
}

// exempt reports whether the pod's namespace is exempt. The API server never calls the webhook for pods in such a namespace.
func exempt(pod *corev1.Pod) bool { return slices.Contains(config.ExemptNamespaces(), pod.Namespace) }

// unchanged returns the outcomes for a pod in an exempt namespace.
func unchanged(subject webhook.Subject) []webhook.Outcome {
	outcomes := make([]webhook.Outcome, 0, len(subject.Fields))
	detail := "exempt namespace " + subject.Namespace
	for _, field := range subject.Fields {
		decision := rewrite.Unchanged(field.Image, rewrite.ExcludedByRule, detail)
		outcomes = append(outcomes, webhook.Outcome{Field: field, Decision: decision})
	}
	return outcomes
}
