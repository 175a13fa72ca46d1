//go:build e2e

package e2e

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// perSecond is the number of pods created per second during a rollout.
const perSecond = 20

func TestUpgrade_UnderLoadLosesNoAdmission(t *testing.T) {
	t.Run("of the chart by Helm", func(t *testing.T) {
		upAfterwards(t)
		chart := installedRelease(t)
		changed := maps.Clone(chart.values)
		changed["resources"] = map[string]any{"requests": map[string]any{"cpu": "21m"}}
		watchRollouts(t, "helm-upgrade", func() { chart.upgrade(t, changed) }, func() { chart.upgrade(t, chart.values) })
	})
	t.Run("to another version by setup up and back", func(t *testing.T) {
		next := suite
		next.setup = buildSetup(t, "v0.0.0-next")
		upAfterwards(t)
		watchRollouts(t, "setup-upgrade", func() {
			if out, err := next.up(t.Context()); err != nil {
				t.Fatalf("the next version's setup up: %v\n%s", err, out)
			}
		}, func() { up(t) })
	})
}

// watchRollouts creates pods while the webhook is upgraded and then downgraded. It fails the test if a pod is not rewritten or if
// the webhook's Deployment does not change.
func watchRollouts(t *testing.T, name string, upgrade, downgrade func()) {
	t.Helper()
	load := startTraffic(t, name, perSecond)
	var took []time.Duration
	for _, roll := range []func(){upgrade, downgrade} {
		before, start := webhookGeneration(t), time.Now()
		roll()
		took = append(took, time.Since(start).Round(100*time.Millisecond))
		if webhookGeneration(t) == before {
			t.Error("the webhook's Deployment is unchanged, want a rollout")
		}
	}
	load.await(t, count(400, 1000))
	t.Logf("upgraded in %s, downgraded in %s: %s", took[0], took[1], load.end(t))
}

// webhookGeneration returns the generation of the webhook's Deployment.
func webhookGeneration(t *testing.T) int64 {
	t.Helper()
	deployment, err := suite.kube.AppsV1().Deployments(ours).Get(t.Context(), ours, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return deployment.Generation
}

// buildSetup builds setup and its images with another version, and returns the path of the setup program. The images are removed
// when the test ends.
func buildSetup(t *testing.T, version string) string {
	t.Helper()
	out := t.TempDir()
	command(t, "env", "VERSION="+version, "OUT="+out, "../../hack/build.sh")
	for _, image := range []string{config.WebhookImage, config.RegistryImage, config.LinkerImage} {
		t.Cleanup(func() { removeImage(t, image+":"+version) })
	}
	return filepath.Join(out, "setup")
}

func TestInstall_FirstPodIsRewritten(t *testing.T) {
	image, want := pushedImage(t, "first-pod")
	upAfterwards(t)
	chart := installedRelease(t)
	var took []time.Duration
	for i := range count(1, 30) {
		chart.uninstall(t)
		if got, err := dryRun(t.Context(), suite.kube, image); err != nil || got != image {
			t.Fatalf("without the chart: dryRun() = %s, %v, want the original %s", got, err, image)
		}
		start := time.Now()
		chart.install(t)
		got, err := dryRun(t.Context(), suite.kube, image)
		took = append(took, time.Since(start).Round(100*time.Millisecond))
		if err != nil || got != want {
			t.Errorf("after install %d: dryRun() = %s, %v, want %s", i+1, got, err, want)
		}
	}
	slices.Sort(took)
	t.Logf("%d installs: from helm install to the first rewritten pod %s (median), %s at most", len(took), took[len(took)/2], took[len(took)-1])
}
