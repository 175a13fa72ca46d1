//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// killer kills a piece of ours, calls whileAway before that is back, and has it started again.
type killer func(t *testing.T, whileAway func())

func TestWebhook_KilledOverAndOverDuringPushesLosesNoPod(t *testing.T) {
	killOverAndOver(t, "webhook", killWebhook)
}

func TestPusher_KilledOverAndOverDuringPushesLosesNoPod(t *testing.T) {
	t.Cleanup(func() { startPusher(t) })
	killOverAndOver(t, "pusher", func(t *testing.T, whileAway func()) {
		t.Helper()
		docker(t, "kill", "-s", "KILL", config.PusherContainer)
		whileAway()
		startPusher(t)
	})
}

// killWebhook kills the webhook, which the kubelet starts again.
func killWebhook(t *testing.T, whileAway func()) {
	t.Helper()
	onWebhook(t, `kill -9 ${p#/proc/}; echo killed`)
	whileAway()
}

func startPusher(t *testing.T) {
	t.Helper()
	if out, err := backgroundCommand("docker", "start", config.PusherContainer); err != nil {
		t.Errorf("starting the pusher: %v\n%s", err, out)
	}
}

// killOverAndOver kills a piece of ours, again and again, while the images of pods are pushed. All pods must run a minute
// later, each time: those that were gated, and the one that was created while it was away.
func killOverAndOver(t *testing.T, piece string, kill killer) {
	t.Helper()
	random, rounds := seeded(t), count(5, 50)
	slowRegistry(t)
	var longest time.Duration
	cut := 0
	for round := range rounds {
		t.Run(fmt.Sprintf("kill %d", round+1), func(t *testing.T) {
			moment := time.Duration(random.Int64N(int64(1500 * time.Millisecond)))
			gated, took := killOnce(t, fmt.Sprintf("%s-killed-%d", piece, round), moment, kill)
			t.Logf("killed %d ms after the creation, with %d pods gated: all pods ran %.1f s later", moment.Milliseconds(), gated, took.Seconds())
			longest = max(longest, took)
			if gated > 0 {
				cut++
			}
		})
	}
	t.Logf("the %s was killed %d times, %d of them while pods waited for their images; the longest until all pods ran was %.1f s",
		piece, rounds, cut, longest.Seconds())
	if cut == 0 {
		t.Error("no kill came while an image was pushed, which shows nothing")
	}
	emptyRegistry(t) // which has gigabytes by now, in the long run
}

// slowRegistry gives the registry so little of the processors that a push of some megabytes lasts for a second, until the test
// ends: else hardly a kill would come in the middle of one.
func slowRegistry(t *testing.T) {
	t.Helper()
	docker(t, "update", "--cpus", "0.1", config.RegistryContainer)
	t.Cleanup(func() {
		all := strconv.Itoa(runtime.NumCPU())
		if out, err := backgroundCommand("docker", "update", "--cpus", all, config.RegistryContainer); err != nil {
			t.Errorf("giving the registry its processors again: %v\n%s", err, out)
		}
	})
}

// killOnce creates pods of new images, kills a piece of ours after that time, and creates one more pod while that is away. It
// returns how many pods were gated then, and how long after the kill all pods ran.
func killOnce(t *testing.T, app string, after time.Duration, kill killer) (gated int, took time.Duration) {
	t.Helper()
	eventuallyRewrites(t)
	var running []corev1.Pod
	t.Cleanup(func() { dropImages(running) })
	var images []string
	for i := range 3 {
		images = append(images, loadImage(t, fmt.Sprintf("e2e/%s-%d:local", app, i), 30))
	}
	createPods(t, app, len(images), images...)
	time.Sleep(after) // the moment of the fault
	var killed time.Time
	kill(t, func() {
		killed = time.Now()
		gated = gatedNow(t, app)
		createOf(t, app, app+"-away", images[0])
	})
	running = awaitPodsWithin(t, time.Minute, app, len(images)+1, "")
	return gated, time.Since(killed)
}

// dropImages takes the images of those pods from the nodes.
func dropImages(pods []corev1.Pod) {
	for i := range pods {
		// An image that is not there is an error, and means no harm.
		_, _ = backgroundCommand("docker", "exec", pods[i].Spec.NodeName, "crictl", "rmi", pods[i].Spec.Containers[0].Image)
	}
}

// seeded returns random numbers, the same ones again for a seed that the log of an earlier run gives.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("E2E_SEED"), strconv.FormatUint(rand.Uint64(), 10)), 10, 64)
	if err != nil {
		t.Fatalf("reading E2E_SEED: %v", err)
	}
	t.Logf("moments of the kills: E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestTwoReplicas_TakeOverFromOneThatIsKilled(t *testing.T) {
	const app = "taken-over"
	t.Cleanup(func() { scale(t, 1) })
	scale(t, 2)
	eventually(t, time.Minute, "both replicas are ready", func(ctx context.Context) string {
		deployed, err := suite.kube.AppsV1().Deployments(ours).Get(ctx, ours, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if deployed.Status.ReadyReplicas != 2 {
			return fmt.Sprintf("%d are", deployed.Status.ReadyReplicas)
		}
		return ""
	})
	var images []string
	for i := range 8 {
		images = append(images, loadImage(t, fmt.Sprintf("e2e/taken-over-%d:local", i), 30))
	}
	delivering := leader(t)
	slowRegistry(t)
	createPods(t, app, len(images), images...)
	onWebhook(t, `if tr '\0' '\n' <$p/environ | grep -qx HOSTNAME=`+delivering+`; then kill -9 ${p#/proc/}; echo killed; fi`)
	killed := time.Now()
	kubectl(t, "delete", "pod", delivering, "--namespace", ours, "--force", "--grace-period=0") // it shall not be started again
	gated := gatedNow(t, app)
	if gated == 0 {
		t.Error("no pod was gated when the replica was killed, which shows nothing")
	}
	awaitPodsWithin(t, time.Minute, app, len(images), "")
	took, successor := time.Since(killed), leader(t)
	if successor == delivering {
		t.Errorf("%s delivers, which was killed and deleted", successor)
	}
	t.Logf("%d of %d pods were gated when the replica that delivers was killed and deleted; the other one had them all run %.1f s later",
		gated, len(images), took.Seconds())
}

// leader returns the name of the webhook's pod that delivers, which is that of the holder of the Lease.
func leader(t *testing.T) string {
	t.Helper()
	var holder string
	eventually(t, time.Minute, "a webhook has the Lease", func(ctx context.Context) string {
		lease, err := suite.kube.CoordinationV1().Leases(ours).Get(ctx, ours, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return "nobody has it"
		}
		holder = *lease.Spec.HolderIdentity
		return ""
	})
	return holder
}
