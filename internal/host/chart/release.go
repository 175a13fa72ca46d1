package chart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release"
	"helm.sh/helm/v4/pkg/storage/driver"

	"kind-local-registry/config"
)

// timeout limits each of two waits: first until the webhook's Deployment is available, and then until the chart's Job has seen
// the API server call the webhook.
const timeout = 3 * time.Minute

// maxHistory is the number of release revisions that Helm keeps.
const maxHistory = 3

// lastRelease returns the newest revision of the webhook's release, or nil if the release is not installed.
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

// lastValues returns the values with which the webhook's release was installed, or nil if it is not installed.
func lastValues(configuration *action.Configuration) (map[string]any, error) {
	values, err := action.NewGetValues(configuration).Run(config.Name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the values of Helm release %s: %w", config.Name, err)
	}
	return values, nil
}

// labels returns the labels for the planned release.
func (p plan) labels() map[string]string { return map[string]string{fingerprintLabel: p.fingerprint} }

func upgrade(ctx context.Context, configuration *action.Configuration, wanted plan) error {
	upgrade := action.NewUpgrade(configuration)
	upgrade.Namespace, upgrade.Labels, upgrade.MaxHistory = config.Name, wanted.labels(), maxHistory
	upgrade.ServerSideApply, upgrade.ForceConflicts = "true", true // overwrite what a user has scaled or edited, too
	upgrade.TakeOwnership = true                                   // of the Lease, which earlier versions of the webhook created
	upgrade.WaitStrategy, upgrade.Timeout = kube.StatusWatcherStrategy, timeout
	_, err := upgrade.RunWithContext(ctx, config.Name, wanted.chart, wanted.values)
	return err
}

func install(ctx context.Context, configuration *action.Configuration, wanted plan) error {
	install := action.NewInstall(configuration)
	install.ReleaseName, install.Namespace, install.Labels = config.Name, config.Name, wanted.labels()
	install.ForceConflicts, install.TakeOwnership = true, true
	install.WaitStrategy, install.Timeout = kube.StatusWatcherStrategy, timeout
	_, err := install.RunWithContext(ctx, wanted.chart, wanted.values)
	return err
}

// hooks reports whether Helm runs the chart's hooks.
type hooks bool

const (
	withHooks    hooks = true
	withoutHooks hooks = false
)

// uninstall uninstalls the release. It succeeds if the release is not installed. With hooks, the chart's hook ungates pods. Helm
// cannot be cancelled here: if ctx ends first, Helm continues until the process ends.
func uninstall(ctx context.Context, configuration *action.Configuration, run hooks) error {
	uninstall := action.NewUninstall(configuration)
	uninstall.IgnoreNotFound, uninstall.WaitStrategy, uninstall.Timeout = true, kube.StatusWatcherStrategy, timeout
	uninstall.DisableHooks = !bool(run)
	done := make(chan error, 1)
	go func() {
		_, err := uninstall.Run(config.Name)
		done <- err
	}()
	select {
	case <-ctx.Done():
		return fmt.Errorf("uninstalling Helm release %s: %w", config.Name, ctx.Err())
	case err := <-done:
		if err != nil {
			return fmt.Errorf("uninstalling Helm release %s: %w", config.Name, err)
		}
		return nil
	}
}
