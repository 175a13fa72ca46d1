package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/charts"
	"kind-local-registry/config"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/step"
)

// fingerprintLabel is the release label that contains the fingerprint of the release's chart and values.
const fingerprintLabel = "made-from"

// Step returns the step that installs the chart.
func (c *Chart) Step() step.Step {
	return step.Step{Name: "chart", InCluster: true, Check: c.check, Apply: c.apply, Undo: c.undo, Plan: c.planUndo}
}

// plan describes the desired release: the chart that setup carries, and its values.
type plan struct {
	chart       *chart.Chart
	values      map[string]any
	fingerprint string
}

func (c *Chart) plan(ctx context.Context) (plan, error) {
	values, err := c.values(ctx)
	if err != nil {
		return plan{}, err
	}
	carried, err := charts.Load()
	if err != nil {
		return plan{}, err
	}
	digest, err := fingerprint(carried, values)
	return plan{carried, values, digest}, err
}

func (c *Chart) check(ctx context.Context) (step.State, error) {
	state, err := c.CheckRelease(ctx)
	if err != nil || !state.OK {
		return state, err
	}
	state, err = c.CheckReplicas(ctx)
	if state.OK {
		state.Detail = "release " + config.Name + ", " + state.Detail
	}
	return state, err
}

// CheckRelease checks that the release is installed from the chart and with the values that setup would install.
func (c *Chart) CheckRelease(ctx context.Context) (step.State, error) {
	wanted, err := c.plan(ctx)
	if errors.Is(err, cluster.ErrNotFound) || errors.Is(err, step.ErrMissing) {
		return step.State{Detail: err.Error()}, nil
	}
	if err != nil {
		return step.State{}, err
	}
	configuration, err := c.helm()
	if err != nil {
		return step.State{}, err
	}
	last, err := lastRelease(configuration)
	if err != nil {
		return step.State{}, err
	}
	switch {
	case last == nil:
		return step.State{Detail: "release " + config.Name + " is not installed"}, nil
	case last.Status() != "deployed":
		return step.State{Detail: "release " + config.Name + " is " + last.Status()}, nil
	case last.Labels()[fingerprintLabel] != wanted.fingerprint:
		return step.State{Detail: "release " + config.Name + " was installed by another version of setup or with other values"}, nil
	}
	return step.State{OK: true, Detail: "release " + config.Name + " is installed"}, nil
}

// CheckReplicas checks that at least one replica of the webhook is available. A replica is available only while the webhook configuration
// exists.
func (c *Chart) CheckReplicas(ctx context.Context) (step.State, error) {
	kube, err := c.cluster.Kube()
	if err != nil {
		return step.State{}, err
	}
	deployment, err := kube.AppsV1().Deployments(config.Name).Get(ctx, config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return step.State{Detail: "no Deployment " + config.Name}, nil
	}
	if err != nil {
		return step.State{}, err
	}
	available := deployment.Status.AvailableReplicas
	if available < 1 {
		return step.State{Detail: "no replica of the webhook is available", Remedy: fmt.Sprintf(
			"run setup up, or see kubectl describe pods -n %s", config.Name)}, nil
	}
	return step.State{OK: true, Detail: step.Count(int(available), "available replica")}, nil
}

func (c *Chart) apply(ctx context.Context, progress step.Progress) error {
	wanted, err := c.plan(ctx)
	if err != nil {
		return err
	}
	configuration, err := c.helm()
	if err != nil {
		return err
	}
	last, err := lastRelease(configuration)
	if err != nil {
		return err
	}
	var hookLog bytes.Buffer
	configuration.SetHookOutputFunc(func(_, _, _ string) io.Writer { return &hookLog })
	progress("waiting for the webhook to be available and to be called")
	switch {
	case last == nil:
		err = install(ctx, configuration, wanted)
	case last.Status() == "deployed":
		err = upgrade(ctx, configuration, wanted)
	default: // Helm can neither upgrade nor install over a release that a failed or interrupted run left behind
		if err = uninstall(ctx, configuration, withoutHooks); err == nil { // the new webhook takes over the waiting pods
			err = install(ctx, configuration, wanted)
		}
	}
	if err != nil && ctx.Err() == nil { // after an interrupt Helm may still be writing the log
		err = withHookLog(err, hookLog.String())
	}
	if err != nil {
		return step.Remedy(fmt.Errorf("installing the chart: %w", err), fmt.Sprintf("see kubectl describe pods -n %s, then run setup up again", config.Name))
	}
	return nil
}

// undo uninstalls the release, ungates the pods that are still waiting for an image, and deletes the namespace with the pusher's
// credentials.
func (c *Chart) undo(ctx context.Context) (string, error) {
	configuration, err := c.helm()
	if errors.Is(err, cluster.ErrNotFound) {
		return "nothing to remove", nil
	}
	if err != nil {
		return "", err
	}
	err = uninstall(ctx, configuration, withHooks)
	if err != nil && ctx.Err() == nil {
		// The hook's pod may be unable to run in this cluster. ungatePods does the same work.
		err = uninstall(ctx, configuration, withoutHooks)
	}
	if err != nil {
		return "", err
	}
	return "release and namespace " + config.Name + " removed", errors.Join(c.ungatePods(ctx), c.deleteNamespace(ctx))
}

// ungatePods ungates the pods that neither the chart's hook nor the webhook could ungate.
func (c *Chart) ungatePods(ctx context.Context) error {
	access, err := c.cluster.RESTConfig()
	if err != nil {
		return err
	}
	if c.options.Ungate == nil {
		return errors.New("ungating pods: Options.Ungate is not set")
	}
	if err := c.options.Ungate(ctx, access, c.registry.Host()); err != nil {
		return step.Remedy(fmt.Errorf("ungating pods: %w", err), "delete those pods, or run setup down again")
	}
	return nil
}
