package host

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/lookup"
	"kind-local-registry/webhook/podimage"
)

// clusterTime is how long the cluster has for telling the labels of its namespaces.
const clusterTime = time.Second

// Assumptions are what Explain takes as given instead of asking for it.
type Assumptions struct {
	// Rules are the rules that hold; nil for those that the system has.
	Rules *rules.Rules
	// Labels are those of namespaces, by the namespace's name. Those of others are asked of the cluster, and taken for none
	// where it does not answer within a second.
	Labels map[string]map[string]string
}

// Explained is what would become of one pod.
type Explained struct {
	// Subject is what was decided about, its Pod among it.
	Subject webhook.Subject
	// Outcomes are the decisions, one for each image field of the pod.
	Outcomes []webhook.Outcome
}

// Patch returns the operations that make the pod run as decided, without the gate: whoever applies the pod cannot lift it.
func (e Explained) Patch() ([]jsonpatch.Operation, error) {
	return webhook.PatchImages(e.Subject, e.Outcomes)
}

// Explain decides about the pods as the webhook would when they are created in their namespaces, and returns the decisions
// in their order. The error, with a remedy, says why nothing can be explained at all. It changes nothing.
func (s *System) Explain(ctx context.Context, pods []*corev1.Pod, given Assumptions) ([]Explained, error) {
	explained, err := s.explain(ctx, pods, given)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("nothing can be explained: %w", err)
	}
	return explained, nil
}

// explain is Explain without words about its failure.
func (s *System) explain(ctx context.Context, pods []*corev1.Pod, given Assumptions) ([]Explained, error) {
	inForce := given.Rules
	if inForce == nil {
		kept, err := s.rulesInForce()
		if err != nil {
			return nil, err
		}
		inForce = &kept
	}
	client, err := s.reachPusher(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	decider := &webhook.Decider{
		RegistryHost: s.registryHost(), Looker: newOnce(client), Rules: func() rules.Rules { return *inForce },
	}
	return explainAll(ctx, explaining{decider, s.namespaceLabels(ctx, pods, given.Labels)}, pods), nil
}

// namespaceLabels returns the labels of the namespaces of the pods: the known ones, and the cluster's.
func (s *System) namespaceLabels(
	ctx context.Context, pods []*corev1.Pod, known map[string]map[string]string,
) map[string]map[string]string {
	labels := map[string]map[string]string{}
	if slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return !unasked(pod) && known[pod.Namespace] == nil }) {
		labels = s.clusterLabels(ctx)
	}
	for name, own := range known {
		labels[name] = own
	}
	return labels
}

// clusterLabels returns the labels of every namespace in the cluster; none where that does not answer: it may not be there,
// which changes nothing about images.
func (s *System) clusterLabels(ctx context.Context) map[string]map[string]string {
	ctx, cancel := context.WithTimeout(ctx, clusterTime)
	defer cancel()
	labels := map[string]map[string]string{}
	client, err := s.kube()
	if err != nil {
		return labels
	}
	found, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return labels
	}
	for i := range found.Items {
		labels[found.Items[i].Name] = found.Items[i].Labels
	}
	return labels
}

// explaining is who decides, and the labels of namespaces by name.
type explaining struct {
	decider *webhook.Decider
	labels  map[string]map[string]string
}

// explainAll explains the pods, some at a time.
func explainAll(ctx context.Context, with explaining, pods []*corev1.Pod) []Explained {
	explained := make([]Explained, len(pods))
	var group errgroup.Group
	group.SetLimit(parallelCalls)
	for i, pod := range pods {
		group.Go(func() error {
			explained[i] = with.explain(ctx, pod)
			return nil
		})
	}
	_ = group.Wait() // no decision fails
	return explained
}

// explain explains one pod.
func (e explaining) explain(ctx context.Context, pod *corev1.Pod) Explained {
	subject := webhook.Subject{
		Pod: podimage.Read(pod, e.decider.RegistryHost), Fields: podimage.Fields(pod), Namespace: pod.Namespace, Labels: e.labels[pod.Namespace],
	}
	explained := Explained{Subject: subject}
	if unasked(pod) {
		explained.Outcomes = leaveAlone(subject)
	} else {
		explained.Outcomes = e.decider.Decide(ctx, subject)
	}
	return explained
}

// unasked says whether the API server does not ask the webhook about the pod, for its namespace.
func unasked(pod *corev1.Pod) bool { return slices.Contains(config.ExemptNamespaces(), pod.Namespace) }

// leaveAlone returns the outcomes for a pod that the webhook is not asked about.
func leaveAlone(subject webhook.Subject) []webhook.Outcome {
	outcomes := make([]webhook.Outcome, 0, len(subject.Fields))
	detail := "the webhook is never asked about pods of namespace " + subject.Namespace
	for _, field := range subject.Fields {
		decision := rewrite.Unchanged(field.Image, rewrite.ExcludedByRule, detail)
		outcomes = append(outcomes, webhook.Outcome{Field: field, Decision: decision})
	}
	return outcomes
}

// once is a lookup.Looker that asks another one, and once only about each name, however many ask. What that says then
// holds for as long as once is there.
type once struct {
	looker lookup.Looker

	mu      sync.Mutex
	answers map[rewrite.Name]func() (rewrite.Presence, error)
}

// newOnce returns a Looker that asks looker once about each name.
func newOnce(looker lookup.Looker) *once {
	return &once{looker: looker, answers: map[rewrite.Name]func() (rewrite.Presence, error){}}
}

// Lookup implements lookup.Looker. The first who asks about a name says with its context how long all of them wait.
func (o *once) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	o.mu.Lock()
	answer, asked := o.answers[name]
	if !asked {
		answer = sync.OnceValues(func() (rewrite.Presence, error) { return o.looker.Lookup(ctx, name) })
		o.answers[name] = answer
	}
	o.mu.Unlock()
	return answer()
}
