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

// timeout is how long the webhook's Deployment may take to be available, and then the chart's Job to see calls of the API server
// arrive.
const timeout = 3 * time.Minute

// maxHistory is how many revisions of the release Helm keeps.
const maxHistory = 3

// lastRelease returns our release's newest revision, or nil if it is not installed.
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

// labels returns the labels of the plan's release.
func (p plan) labels() map[string]string { return map[string]string{fingerprintLabel: p.fingerprint} }

func upgrade(ctx context.Context, configuration *action.Configuration, wanted plan) error {
	upgrade := action.NewUpgrade(configuration)
	upgrade.Namespace, upgrade.Labels, upgrade.MaxHistory = config.Name, wanted.labels(), maxHistory
	upgrade.ServerSideApply, upgrade.ForceConflicts = "true", true // also what a user scaled or edited
	upgrade.TakeOwnership = true                                   // of the Lease, which the webhook once created itself
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

// uninstall uninstalls the release. It succeeds if the release is not installed. The chart's hook ungates pods.
func uninstall(configuration *action.Configuration, run hooks) error {
	uninstall := action.NewUninstall(configuration)
	uninstall.IgnoreNotFound, uninstall.WaitStrategy, uninstall.Timeout = true, kube.StatusWatcherStrategy, timeout
	uninstall.DisableHooks = !bool(run)
	if _, err := uninstall.Run(config.Name); err != nil {
		return fmt.Errorf("uninstalling Helm release %s: %w", config.Name, err)
	}
	return nil
}
