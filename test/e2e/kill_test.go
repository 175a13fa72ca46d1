//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// killer kills one of our components, calls whileDown, and restarts the component.
type killer func(t *testing.T, whileDown func())

func TestWebhook_KilledDuringPushesLosesNoPod(t *testing.T) {
	killRepeatedly(t, "webhook", killWebhook)
}

func TestPusher_KilledDuringPushesLosesNoPod(t *testing.T) {
	t.Cleanup(func() { startPusher(t) })
	killRepeatedly(t, "pusher", func(t *testing.T, whileDown func()) {
		t.Helper()
		docker(t, "kill", "-s", "KILL", config.PusherContainer)
		whileDown()
		startPusher(t)
	})
}

// killWebhook kills the webhook. The kubelet restarts it.
func killWebhook(t *testing.T, whileDown func()) {
	t.Helper()
	onWebhookProcess(t, `kill -9 ${p#/proc/}; echo killed`)
	whileDown()
}

func startPusher(t *testing.T) {
	t.Helper()
	if out, err := backgroundCommand("docker", "start", config.PusherContainer); err != nil {
		t.Errorf("starting the pusher: %v\n%s", err, out)
	}
}

// killRepeatedly repeatedly kills one of our components while images are being pushed. Each time, all pods must be running within
// a minute: the gated pods, and a pod that was created while the component was down.
func killRepeatedly(t *testing.T, component string, kill killer) {
	t.Helper()
	switchLinkingOff(t) // a linked image needs no push before its pod starts
	random, rounds := newRandom(t), count(2, 50)
	slowRegistry(t)
	var longest time.Duration
	cut := 0
	for round := range rounds {
		t.Run(fmt.Sprintf("kill %d", round+1), func(t *testing.T) {
			moment := time.Duration(random.Int64N(int64(1500 * time.Millisecond)))
			gated, took := killOnce(t, fmt.Sprintf("%s-killed-%d", component, round), moment, kill)
			t.Logf("killed %d ms after creation, with %d pods gated; all pods were running %.1f s later",
				moment.Milliseconds(), gated, took.Seconds())
			longest = max(longest, took)
			if gated > 0 {
				cut++
			}
		})
	}
	t.Logf("the %s was killed %d times, %d of them while pods were gated; all pods were running at most %.1f s later",
		component, rounds, cut, longest.Seconds())
	if cut == 0 {
		t.Error("no kill interrupted a push, want at least one")
	}
	if count(0, 1) > 0 {
		replaceRegistry(t) // a full run leaves gigabytes in the registry
	}
}

// slowRegistry limits the registry's CPU until the test ends, so that a push of a few megabytes takes a second. Without this
// limit, a kill would rarely interrupt a push.
func slowRegistry(t *testing.T) {
	t.Helper()
	docker(t, "update", "--cpus", "0.1", config.RegistryContainer)
	t.Cleanup(func() {
		all := strconv.Itoa(runtime.NumCPU())
		if out, err := backgroundCommand("docker", "update", "--cpus", all, config.RegistryContainer); err != nil {
			t.Errorf("restoring the registry's CPU limit: %v\n%s", err, out)
		}
	})
}

// killOnce creates pods with new images, kills one of our components after the given time, and creates one more pod while the
// component is down. It returns how many pods were gated when the component was killed, and how long it then took until all pods
// were running.
func killOnce(t *testing.T, app string, after time.Duration, kill killer) (gated int, took time.Duration) {
	t.Helper()
	eventuallyRewrites(t)
	var running []corev1.Pod
	t.Cleanup(func() { removeFromNodes(running) })
	var images []string
	for i := range 3 {
		images = append(images, loadImage(t, fmt.Sprintf("e2e/%s-%d:local", app, i), 30))
	}
	createPods(t, app, len(images), images...)
	time.Sleep(after) // until the moment of the kill
	var killed time.Time
	kill(t, func() {
		killed = time.Now()
		gated = countGated(t, app)
		createLabelled(t, app, app+"-down", images[0])
	})
	running = awaitPodsWithin(t, time.Minute, app, len(images)+1, "")
	return gated, time.Since(killed)
}

// removeFromNodes removes the pods' images from their nodes.
func removeFromNodes(pods []corev1.Pod) {
	for i := range pods {
		// If an image is missing, the error can be ignored.
		_, _ = backgroundCommand("docker", "exec", pods[i].Spec.NodeName, "crictl", "rmi", pods[i].Spec.Containers[0].Image)
	}
}

// newRandom returns a random source. To repeat an earlier run, set E2E_SEED to the seed in that run's log.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("E2E_SEED"), strconv.FormatUint(rand.Uint64(), 10)), 10, 64)
	if err != nil {
		t.Fatalf("reading E2E_SEED: %v", err)
	}
	t.Logf("random choices of this test: E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// shuffled returns the keys of a map in a random order.
func shuffled[V any](random *rand.Rand, m map[string]V) []string {
	all := slices.Sorted(maps.Keys(m))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func TestTwoReplicas_FailOverWhenTheLeaderIsKilled(t *testing.T) {
	const app = "taken-over"
	switchLinkingOff(t) // a linked image needs no gate
	t.Cleanup(func() { scale(t, 1) })
	scale(t, 2)
	eventually(t, time.Minute, "both replicas are ready", func(ctx context.Context) string {
		deployed, err := suite.kube.AppsV1().Deployments(ours).Get(ctx, ours, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if deployed.Status.ReadyReplicas != 2 {
			return fmt.Sprintf("%d are ready", deployed.Status.ReadyReplicas)
		}
		return ""
	})
	var images []string
	for i := range 8 {
		images = append(images, loadImage(t, fmt.Sprintf("e2e/taken-over-%d:local", i), 30))
	}
	killedLeader := leader(t)
	slowRegistry(t)
	createPods(t, app, len(images), images...)
	onWebhookProcess(t, `if tr '\0' '\n' <$p/environ | grep -qx HOSTNAME=`+killedLeader+`; then kill -9 ${p#/proc/}; echo killed; fi`)
	killed := time.Now()
	kubectl(t, "delete", "pod", killedLeader, "--namespace", ours, "--force", "--grace-period=0") // so that the kubelet does not restart it
	gated := countGated(t, app)
	if gated == 0 {
		t.Error("no pod was gated when the leader was killed, want at least one")
	}
	awaitPodsWithin(t, time.Minute, app, len(images), "")
	took, successor := time.Since(killed), leader(t)
	if successor == killedLeader {
		t.Errorf("the leader is still %s, which was killed and deleted", successor)
	}
	t.Logf("%d of %d pods were gated when the leader was killed and deleted; with the other replica, all were running %.1f s later",
		gated, len(images), took.Seconds())
}

// leader returns the name of the webhook pod that holds the Lease.
func leader(t *testing.T) string {
	t.Helper()
	var holder string
	eventually(t, time.Minute, "a webhook has the Lease", func(ctx context.Context) string {
		lease, err := suite.kube.CoordinationV1().Leases(ours).Get(ctx, ours, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return "no holder"
		}
		holder = *lease.Spec.HolderIdentity
		return ""
	})
	return holder
}
