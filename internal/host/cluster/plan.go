package cluster

import (
	"context"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// KeepStep returns a step that keeps the cluster, although setup created it. why explains that to the user.
func (c *Cluster) KeepStep(why string) step.Step {
	keep := func(ctx context.Context) ([]step.Change, error) {
		condition, err := c.Condition(ctx)
		if err != nil || !condition.Exists {
			return nil, err
		}
		return []step.Change{{Action: step.Keep, Kind: step.Cluster, Name: c.Name(), Detail: why}}, nil
	}
	return step.Step{Name: "cluster", Plan: keep}
}

// plan lists what undo would do to the cluster.
func (c *Cluster) plan(ctx context.Context) ([]step.Change, error) {
	condition, err := c.Condition(ctx)
	if err != nil || !condition.Exists {
		return nil, err
	}
	change := step.Change{Action: step.Keep, Kind: step.Cluster, Name: c.Name(), Detail: "setup only adopted it"}
	containers, err := c.containers(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case condition.Created:
		change.Action, change.Loss = step.Delete, true
		change.Detail = step.Count(len(containers), "node") + ", created by setup, with everything in it"
	case !condition.Answers:
		change.Detail = "it does not answer, so setup cannot tell whether it created the cluster; " +
			"start it with setup up, or delete it with kind delete cluster --name " + c.Name()
	}
	return []step.Change{change}, nil
}

// foreign lists the adoption of a cluster that the user did not name. Adoption changes the cluster only if it has not been adopted
// before.
func (c *Cluster) foreign(ctx context.Context, registryHost string) ([]step.Change, error) {
	if c.named {
		return nil, nil
	}
	condition, err := c.Condition(ctx)
	if err != nil || !condition.Exists || condition.Created {
		return nil, err
	}
	if served, err := c.served(ctx, registryHost); err != nil || served {
		return nil, err
	}
	detail := "another tool created it; name it with --cluster " + c.Name() + " if you mean it"
	if len(condition.Stopped) > 0 {
		detail += "; stopped nodes are started: " + strings.Join(condition.Stopped, ", ")
	}
	return []step.Change{{
		Action: step.Adopt, Kind: step.Cluster, Name: c.Name(), Detail: detail,
		Back: "setup down removes our components from it, and keeps the cluster",
	}}, nil
}

// served reports whether setup up has configured any of the cluster's nodes before.
func (c *Cluster) served(ctx context.Context, registryHost string) (bool, error) {
	members, err := c.members(ctx)
	if err != nil {
		return false, err
	}
	return anyPulls(ctx, c.engine, members, registryHost)
}

// foreign lists a ConfigMap that another tool applied, and that names another registry.
func (h hosting) foreign(ctx context.Context) ([]step.Change, error) {
	found, err := h.get(ctx)
	if err != nil || found.Labels[ManagedBy] == config.Name || found.Data[hostingKey] == h.document() {
		return nil, nil //nolint:nilerr // what cannot be read now is not there yet, or the step itself reports the error
	}
	return []step.Change{{
		Action: step.Replace, Kind: step.ConfigMap, Name: hostingNamespace + "/" + hostingConfigMap,
		Detail: "another tool applied it, and it names another registry", Back: "setup down restores it",
	}}, nil
}

// plan lists what undo would do to the ConfigMap.
func (h hosting) plan(ctx context.Context) ([]step.Change, error) {
	found, err := h.get(ctx)
	if errors.Is(err, ErrNotFound) || apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	change := step.Change{Action: step.Delete, Kind: step.ConfigMap, Name: hostingNamespace + "/" + hostingConfigMap}
	switch {
	case found.Labels[ManagedBy] != config.Name:
		change.Action, change.Detail = step.Keep, "setup did not create it"
	case found.Annotations[beforeAnnotation] != "":
		change.Action, change.Detail = step.Restore, "another tool's, which setup up replaced"
	}
	return []step.Change{change}, nil
}
