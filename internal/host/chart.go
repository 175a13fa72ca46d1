package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release"
	"helm.sh/helm/v4/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/charts"
	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

// chartTimeout is how long the webhook's Deployment may take to be available, and then the chart's Job to see the API
// server's calls arrive.
const chartTimeout = 3 * time.Minute

// chartFingerprint is the release's label with the fingerprint of its chart and values.
const chartFingerprint = "made-from"

func (s *System) chartStep() Step {
	return Step{Name: "chart", InCluster: true, Check: s.checkChart, Apply: s.applyChart, Undo: s.undoChart}
}

func (s *System) checkChart(ctx context.Context) (State, error) {
	values, err := s.chartValues(ctx)
	if errors.Is(err, errNoCluster) || errors.Is(err, errNotReady) {
		return State{Detail: err.Error()}, nil
	}
	if err != nil {
		return State{}, err
	}
	carried, err := charts.Load()
	if err != nil {
		return State{}, err
	}
	want, err := fingerprint(carried, values)
	if err != nil {
		return State{}, err
	}
	configuration, err := s.helm()
	if err != nil {
		return State{}, err
	}
	last, err := lastRelease(configuration)
	if err != nil {
		return State{}, err
	}
	switch {
	case last == nil:
		return State{Detail: "release " + config.Name + " is not installed"}, nil
	case last.Status() != "deployed":
		return State{Detail: "release " + config.Name + " is " + last.Status()}, nil
	case last.Labels()[chartFingerprint] != want:
		return State{Detail: "release " + config.Name + " is of another setup or has other values"}, nil
	}
	return s.checkDeployment(ctx)
}

// checkDeployment says whether the webhook's Deployment is there in full.
func (s *System) checkDeployment(ctx context.Context) (State, error) {
	client, err := s.kube()
	if err != nil {
		return State{}, err
	}
	deployment, err := client.AppsV1().Deployments(config.Name).Get(ctx, config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return State{Detail: "the Deployment is gone"}, nil
	}
	if err != nil {
		return State{}, err
	}
	ready := deployment.Status.AvailableReplicas
	if ready < 1 {
		return State{Detail: "no replica of the webhook is available", Remedy: fmt.Sprintf(
			"run setup up, or see kubectl describe pods -n %s", config.Name)}, nil
	}
	return State{OK: true, Detail: fmt.Sprintf("release %s, %s", config.Name, countOf(int(ready), "replica"))}, nil
}

// lastRelease returns our release's newest revision, or nil where there is none.
func lastRelease(configuration *action.Configuration) (release.Accessor, error) {
	found, err := action.NewGet(configuration).Run(config.Name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Helm release %s: %w", config.Name, err)
	}
	return release.NewAccessor(found)
}

func (s *System) applyChart(ctx context.Context, progress Progress) error {
	values, err := s.chartValues(ctx)
	if err != nil {
		return err
	}
	carried, err := charts.Load()
	if err != nil {
		return err
	}
	madeFrom, err := fingerprint(carried, values)
	if err != nil {
		return err
	}
	configuration, err := s.helm()
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
	labels := map[string]string{chartFingerprint: madeFrom}
	switch {
	case last == nil:
		err = installChart(ctx, configuration, carried, values, labels)
	case last.Status() == "deployed":
		err = upgradeChart(ctx, configuration, carried, values, labels)
	default: // a run that failed or was cut off left a release that Helm can neither upgrade nor install over
		if err = uninstallChart(configuration, true); err == nil { // pods that wait are taken up by the next
			err = installChart(ctx, configuration, carried, values, labels)
		}
	}
	if err != nil && ctx.Err() == nil { // else Helm goes on behind our back, and may write the log yet
		err = because(err, hookLog.String())
	}
	if err != nil {
		return remedy(fmt.Errorf("installing the chart: %w", err), fmt.Sprintf("see kubectl describe pods -n %s, then run setup up again", config.Name))
	}
	return nil
}

func upgradeChart(ctx context.Context, configuration *action.Configuration, carried *chart.Chart, values map[string]any, labels map[string]string) error {
	upgrade := action.NewUpgrade(configuration)
	upgrade.Namespace, upgrade.Labels, upgrade.MaxHistory = config.Name, labels, 3
	upgrade.ServerSideApply, upgrade.ForceConflicts = "true", true // also what somebody scaled or edited by hand
	upgrade.TakeOwnership = true                                   // of the Lease, which the webhook made itself once
	upgrade.WaitStrategy, upgrade.Timeout = kube.StatusWatcherStrategy, chartTimeout
	_, err := upgrade.RunWithContext(ctx, config.Name, carried, values)
	return err
}

func installChart(ctx context.Context, configuration *action.Configuration, carried *chart.Chart, values map[string]any, labels map[string]string) error {
	install := action.NewInstall(configuration)
	install.ReleaseName, install.Namespace, install.Labels = config.Name, config.Name, labels
	install.ForceConflicts, install.TakeOwnership = true, true
	install.WaitStrategy, install.Timeout = kube.StatusWatcherStrategy, chartTimeout
	_, err := install.RunWithContext(ctx, carried, values)
	return err
}

// undoChart uninstalls the release, ungates the pods that still wait for an image, then deletes the namespace, which holds the
// pusher's credentials too.
func (s *System) undoChart(ctx context.Context) (string, error) {
	configuration, err := s.helm()
	if errors.Is(err, errNoCluster) {
		return "there was none", nil
	}
	if err != nil {
		return "", err
	}
	if err := uninstallChart(configuration, false); err != nil {
		// The hook's pod may not be able to run here; what it does is done below as well.
		if err := uninstallChart(configuration, true); err != nil {
			return "", err
		}
	}
	return "release and namespace " + config.Name + " removed", errors.Join(s.ungate(ctx), s.deleteNamespace(ctx))
}

// uninstallChart uninstalls the release; with disableHooks without the chart's hook, which lets pods go.
func uninstallChart(configuration *action.Configuration, disableHooks bool) error {
	uninstall := action.NewUninstall(configuration)
	uninstall.IgnoreNotFound, uninstall.WaitStrategy, uninstall.Timeout = true, kube.StatusWatcherStrategy, chartTimeout
	uninstall.DisableHooks = disableHooks
	if _, err := uninstall.Run(config.Name); err != nil {
		return fmt.Errorf("uninstalling Helm release %s: %w", config.Name, err)
	}
	return nil
}

// ungate ungates the pods that neither the chart's hook nor the webhook could.
func (s *System) ungate(ctx context.Context) error {
	access, err := s.restConfig()
	if err != nil || s.options.Ungate == nil {
		return err
	}
	if err := s.options.Ungate(ctx, access, s.registryHost()); err != nil {
		return remedy(fmt.Errorf("ungating pods: %w", err), "delete those pods, or run setup down again")
	}
	return nil
}

func (s *System) deleteNamespace(ctx context.Context) error {
	client, err := s.kube()
	if err != nil {
		return err
	}
	namespaces := client.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, config.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting namespace %s: %w", config.Name, err)
	}
	return poll(ctx, chartTimeout, func(ctx context.Context) error {
		_, err := namespaces.Get(ctx, config.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(fmt.Errorf("namespace %s is still there", config.Name), err)
	})
}

// chartValues are the values that the host decides: where the webhook's image and the pusher are, and the rules.
func (s *System) chartValues(ctx context.Context) (map[string]any, error) {
	digest, err := s.webhookDigest(ctx)
	if err != nil {
		return nil, err
	}
	address, err := s.pusherAddress(ctx)
	if err != nil {
		return nil, err
	}
	name, err := rewrite.Parse(webhookImage())
	if err != nil {
		return nil, err
	}
	repository, err := name.Repository(s.registryHost())
	if err != nil {
		return nil, err
	}
	rules, err := s.rulesValues()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"image":    map[string]any{"repository": s.registryHost() + "/" + repository, "tag": name.Tag(), "digest": digest},
		"pusher":   map[string]any{"address": address, "port": config.PusherPort},
		"registry": map[string]any{"host": s.registryHost()},
		"rules":    rules,
	}, nil
}
