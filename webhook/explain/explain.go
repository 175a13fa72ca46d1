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

// Explainer decides about pods as the webhook would when they are created.
type Explainer struct {
	// RegistryHost is the registry's host in every rewritten reference, such as localhost:5001.
	RegistryHost string
	// Looker looks up each image once, however many pods name it.
	Looker lookup.Looker
	// Rules are the rules in force.
	Rules rules.Rules
	// Labels are the labels of namespaces that are known already, by the namespace's name.
	Labels map[string]map[string]string
	// ClusterLabels returns the labels of every other namespace. It is called only if a pod needs them.
	ClusterLabels func(context.Context) map[string]map[string]string
}

// Explanation is what would become of one pod.
type Explanation struct {
	// Subject is what the decisions are about; its Pod is the pod.
	Subject webhook.Subject
	// Outcomes are the decisions, one for each image field of the pod.
	Outcomes []webhook.Outcome
}

// Patch returns the operations that make the pod run as decided. It adds no gate: nothing would ungate the pod if the webhook is
// not installed where the pod is applied.
func (e Explanation) Patch() ([]jsonpatch.Operation, error) {
	return webhook.PatchImages(e.Subject, e.Outcomes)
}

// Explain returns an explanation of each pod, in their order.
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

// explaining is one call of Explain.
type explaining struct {
	decider *webhook.Decider
	labels  map[string]map[string]string
}

// start reads the labels of namespaces that the pods need.
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
		Pod: podimage.Read(pod, e.decider.RegistryHost), Fields: podimage.Fields(pod), Namespace: pod.Namespace, Labels: e.labels[pod.Namespace],
	}
	if exempt(pod) {
		return Explanation{subject, unchanged(subject)}
	}
	return Explanation{subject, e.decider.Decide(ctx, subject)}
}

// exempt reports whether the pod's namespace is exempt: the API server never calls the webhook for its pods.
func exempt(pod *corev1.Pod) bool { return slices.Contains(config.ExemptNamespaces(), pod.Namespace) }

// unchanged returns the outcomes of a pod in an exempt namespace.
func unchanged(subject webhook.Subject) []webhook.Outcome {
	outcomes := make([]webhook.Outcome, 0, len(subject.Fields))
	detail := "exempt namespace " + subject.Namespace
	for _, field := range subject.Fields {
		decision := rewrite.Unchanged(field.Image, rewrite.ExcludedByRule, detail)
		outcomes = append(outcomes, webhook.Outcome{Field: field, Decision: decision})
	}
	return outcomes
}
