package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook/explain"
)

// assumptions contains rules to use instead of the host's, and labels to use instead of the cluster's.
type assumptions struct {
	rules  *rules.Rules                 // nil for the rules in force
	labels map[string]map[string]string // labels of each namespace, by its name
}

// explainer explains pods. hostExplainer implements it; tests replace it.
type explainer interface {
	Explain(ctx context.Context, pods []*corev1.Pod, given assumptions) ([]explain.Explanation, error)
}

// hostExplainer explains pods according to the host's images and rules.
type hostExplainer struct{ *host.System }

// Explain implements explainer.
func (e hostExplainer) Explain(ctx context.Context, pods []*corev1.Pod, given assumptions) ([]explain.Explanation, error) {
	explanations, err := e.explain(ctx, pods, given)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("nothing can be explained: %w", err)
	}
	return explanations, nil
}

func (e hostExplainer) explain(ctx context.Context, pods []*corev1.Pod, given assumptions) ([]explain.Explanation, error) {
	inForce, err := e.inForce(given)
	if err != nil {
		return nil, err
	}
	client, err := e.ConnectPusher(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	explaining := explain.Explainer{
		RegistryHost: e.RegistryHost(), Looker: client, Rules: inForce, Labels: given.labels, ClusterLabels: e.NamespaceLabels,
	}
	return explaining.Explain(ctx, pods), nil
}
