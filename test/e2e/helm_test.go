//go:build e2e

package e2e

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/cli"
	"helm.sh/helm/v4/pkg/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/charts"
)

// rolloutTimeout is how long Helm waits for the webhook to be available.
const rolloutTimeout = 3 * time.Minute

// release is the installed chart as a Helm user sees it.
type release struct {
	helm   *action.Configuration
	chart  *chart.Chart
	values map[string]any // values with which setup installed the chart
}

func installedRelease(t *testing.T) release {
	t.Helper()
	settings := cli.New()
	settings.KubeConfig = suite.kubeconfig
	settings.SetNamespace(ours)
	helm := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	if err := helm.Init(settings.RESTClientGetter(), ours, "secret"); err != nil {
		t.Fatal(err)
	}
	values, err := action.NewGetValues(helm).Run(ours)
	if err != nil {
		t.Fatalf("reading the release's values: %v", err)
	}
	carried, err := charts.Load()
	if err != nil {
		t.Fatal(err)
	}
	return release{helm: helm, chart: carried, values: values}
}

func (r release) upgrade(t *testing.T, values map[string]any) {
	t.Helper()
	upgrade := action.NewUpgrade(r.helm)
	upgrade.Namespace, upgrade.ServerSideApply, upgrade.ForceConflicts = ours, "true", true
	upgrade.WaitStrategy, upgrade.Timeout = kube.StatusWatcherStrategy, rolloutTimeout
	if _, err := upgrade.RunWithContext(t.Context(), ours, r.chart, values); err != nil {
		t.Fatalf("helm upgrade: %v", err)
	}
}

func (r release) install(t *testing.T) {
	t.Helper()
	install := action.NewInstall(r.helm)
	install.ReleaseName, install.Namespace = ours, ours
	install.ForceConflicts, install.TakeOwnership = true, true // a terminating webhook may have recreated its Secret
	install.WaitStrategy, install.Timeout = kube.StatusWatcherStrategy, rolloutTimeout
	if _, err := install.RunWithContext(t.Context(), r.chart, r.values); err != nil {
		t.Fatalf("helm install: %v", err)
	}
}

// uninstall uninstalls the release and waits until its last pod is deleted.
func (r release) uninstall(t *testing.T) {
	t.Helper()
	uninstall := action.NewUninstall(r.helm)
	uninstall.WaitStrategy, uninstall.Timeout = kube.StatusWatcherStrategy, rolloutTimeout
	if _, err := uninstall.Run(ours); err != nil {
		t.Fatalf("helm uninstall: %v", err)
	}
	eventually(t, time.Minute, "the webhook's pods are deleted", func(ctx context.Context) string {
		pods, err := suite.kube.CoreV1().Pods(ours).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		if len(pods.Items) > 0 {
			return pods.Items[0].Name + " is left"
		}
		return ""
	})
}
