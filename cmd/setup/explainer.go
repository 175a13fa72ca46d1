package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook/explain"
)

// assumptions replace what would otherwise be read from the host and the cluster.
type assumptions struct {
	rules  *rules.Rules                 // nil for the rules in force
	labels map[string]map[string]string // of namespaces, by name
}

// explainer decides about pods, as hostExplainer does.
type explainer interface {
	Explain(ctx context.Context, pods []*corev1.Pod, given assumptions) ([]explain.Explanation, error)
}

// hostExplainer explains pods by the images and rules of the host.
type hostExplainer struct{ *host.System }

// Explain implements explainer. Its error says why nothing can be explained.
func (e hostExplainer) Explain(ctx context.Context, pods []*corev1.Pod, given assumptions) ([]explain.Explanation, error) {
	explanations, err := e.explain(ctx, pods, given)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("nothing can be explained: %w", err)
	}
	return explanations, nil
}

func (e hostExplainer) explain(ctx context.Context, pods []*corev1.Pod, given assumptions) ([]explain.Explanation, error) {
	if given.rules == nil {
		inForce, err := e.Rules()
		if err != nil {
			return nil, err
		}
		given.rules = &inForce
	}
	client, err := e.ConnectPusher(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	explaining := explain.Explainer{
		RegistryHost: e.RegistryHost(), Looker: client, Rules: *given.rules, Labels: given.labels, ClusterLabels: e.NamespaceLabels,
	}
	return explaining.Explain(ctx, pods), nil
}
