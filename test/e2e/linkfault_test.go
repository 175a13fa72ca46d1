//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// faultTimeout limits the time from the end of a fault until the pod runs with the files of its image. A node needs up to
// recoveryTimeout of it.
const faultTimeout = 4 * time.Minute

// dockerdPID is the file with the ID of the dockerd that hack/docker.sh started.
const dockerdPID = "/run/kind-local-registry/dockerd.pid"

// linkFault injects a fault while the image of a pod is being delivered, and then repairs what cannot recover by itself.
type linkFault struct {
	name   string
	inject func(t *testing.T, d *linkDelivery)
}

// linkFaults returns the faults that can be injected on this host.
func linkFaults(t *testing.T) []linkFault {
	t.Helper()
	faults := []linkFault{
		{"linker killed", func(t *testing.T, _ *linkDelivery) { t.Helper(); killLinker(t) }},
		{"containerd killed", func(t *testing.T, _ *linkDelivery) { t.Helper(); onWorker(t, "kill -9 $(pidof containerd)") }},
		{"node killed", func(t *testing.T, _ *linkDelivery) {
			t.Helper()
			killWorker(t)
			docker(t, "start", worker)
		}},
		{"image removed from Docker", func(t *testing.T, d *linkDelivery) {
			t.Helper()
			docker(t, "rmi", "-f", d.image)
			d.loadLater(t)
		}},
		{"unused data removed from Docker", func(t *testing.T, d *linkDelivery) {
			t.Helper()
			docker(t, "system", "prune", "-af", "--filter", "label="+faultLabel) // and no other image of this machine
			d.loadLater(t)
		}},
		{"image removed from the node", func(t *testing.T, d *linkDelivery) {
			t.Helper()
			onWorker(t, "crictl rmi "+d.created.Spec.Containers[0].Image+" || true") // the node may not have it yet
		}},
		{"garbage collected on the node", func(t *testing.T, _ *linkDelivery) { t.Helper(); onWorker(t, strings.Repeat(collectGarbage, 5)) }},
		{"tag moved", func(t *testing.T, d *linkDelivery) { t.Helper(); d.rebuild(t) }},
	}
	if _, err := os.Stat(dockerdPID); err != nil {
		t.Log("SKIP: dockerd is not killed, because hack/docker.sh did not start it")
		return faults
	}
	return append(faults, linkFault{"dockerd killed", func(t *testing.T, _ *linkDelivery) { t.Helper(); killDockerd(t) }})
}

// TestLink_FaultsLoseNoPodAndLeaveNothing injects faults at random moments of deliveries. Every pod must run in the end, and its root file
// system must be that of its image. In the end, nothing may be left on a node or below Docker's root. Without E2E_FULL, it injects five
// of the faults, which are chosen at random.
func TestLink_FaultsLoseNoPodAndLeaveNothing(t *testing.T) {
	needLinker(t)
	t.Cleanup(func() { removeFaultImages(t) })
	begin := time.Now()
	random, faults, rounds := newRandom(t), linkFaults(t), count(5, 180)
	var chains []string
	var longest time.Duration
	cut, order := 0, random.Perm(len(faults))
	for round := range rounds {
		if round%len(faults) == 0 {
			order = random.Perm(len(faults))
		}
		fault := faults[order[round%len(faults)]]
		t.Run(fmt.Sprintf("%d %s", round+1, fault.name), func(t *testing.T) {
			d := newLinkDelivery(t, fmt.Sprintf("link-fault-%d", round), random)
			within := 1500 * time.Millisecond
			if round%2 == 0 {
				within = 500 * time.Millisecond // most pods run later
			}
			took, before := d.survive(t, fault, within)
			if before {
				cut++
			}
			longest = max(longest, took)
			chains = append(chains, d.chains...)
		})
	}
	t.Logf("%d faults, %d of them before the pod ran; all pods ran at most %.1f s later", rounds, cut, longest.Seconds())
	if cut == 0 {
		t.Error("no fault came before its pod ran, want at least one")
	}
	if linked := strings.Count(linkerLog(t, begin), `"msg":"layers linked"`); linked < rounds/2 {
		t.Errorf("layers were linked %d times, want it for at least half of the %d images", linked, rounds)
	}
	wantNoRemnants(t, chains)
}

// survive creates the pod, injects the fault at a random moment within the given time, and waits until the pod runs with the right files.
// It returns how long that took, and whether the pod was not yet running before the fault.
func (d *linkDelivery) survive(t *testing.T, fault linkFault, within time.Duration) (took time.Duration, before bool) {
	t.Helper()
	eventuallyRewrites(t)
	d.load(t)
	spec := onNode(worker, d.image)
	spec.Containers[0].ImagePullPolicy = d.policy
	t.Cleanup(func() { d.removeFromNodes(t) })
	d.created, _ = createPod(t, d.name, namespace, spec)
	moment := time.Duration(d.random.Int64N(int64(within)))
	time.Sleep(moment) // until the moment of the fault
	if pod, err := suite.kube.CoreV1().Pods(namespace).Get(t.Context(), d.name, metav1.GetOptions{}); err == nil {
		before = pod.Status.Phase != corev1.PodRunning
	}
	fault.inject(t, d)
	ended := time.Now()
	eventually(t, faultTimeout, "pod "+d.name+" runs with the files of its image", func(ctx context.Context) string { return d.check(ctx, t) })
	took = time.Since(ended)
	t.Logf("%s %d ms after creation, with the policy %s; the pod ran %.1f s later", fault.name, moment.Milliseconds(), d.policy, took.Seconds())
	return took, before
}

// check returns "" if the pod runs with the files of an image that had its tag. It fails the test if the pod runs with others.
func (d *linkDelivery) check(ctx context.Context, t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // a connection from before a restart may hang
	defer cancel()
	pod, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, d.name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Running == nil {
		return describe(pod)
	}
	got, err := containerFiles(ctx, pod)
	if err != nil {
		return err.Error() // the status may be that from before a restart
	}
	diff := ""
	for _, want := range d.contents {
		if diff = cmp.Diff(want, got); diff == "" {
			return ""
		}
	}
	t.Fatalf("pod %s with image %s has other files than its image (-want +got):\n%s", d.name, pod.Spec.Containers[0].Image, diff)
	return ""
}

// removeFaultImages removes the images whose tags have moved.
func removeFaultImages(t *testing.T) {
	t.Helper()
	if out, err := backgroundCommand("docker", "image", "prune", "-af", "--filter", "label="+faultLabel); err != nil {
		t.Errorf("removing images from Docker: %v\n%s", err, out)
	}
}

// killLinker kills the linker's process. Docker restarts the container.
func killLinker(t *testing.T) {
	t.Helper()
	kill(t, docker(t, "inspect", "--format", "{{.State.Pid}}", config.LinkerContainer))
}

// kill kills a process of this host and returns its ID.
func kill(t *testing.T, text string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || pid <= 1 {
		t.Fatalf("process ID = %q, %v", text, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("killing process %d: %v", pid, err)
	}
	return pid
}

// killWorker kills the worker node. With cgroup v1, runc freezes a container while it changes the container's devices. A frozen container
// cannot be killed, and neither can its node; so it is thawed.
func killWorker(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "kill", "-s", "KILL", worker).CombinedOutput()
	if err == nil {
		return
	}
	freezer := "/sys/fs/cgroup/freezer/docker/" + docker(t, "inspect", "--format", "{{.Id}}", worker)
	thawed := command(t, "find", freezer, "-name", "freezer.state", "-exec", "grep", "-q", "FROZEN", "{}", ";",
		"-exec", "sh", "-c", "echo THAWED >$0", "{}", ";", "-print")
	if thawed == "" {
		t.Fatalf("docker kill %s: %v, and no container on the node is frozen\n%s", worker, err, out)
	}
	docker(t, "wait", worker)
}

// killDockerd kills dockerd and starts another one. All containers stop. Docker restarts ours and, in any order, some nodes. They are started
// in an order in which they keep their addresses; TestConverge_FromStoppedNodes covers nodes that exchanged them.
func killDockerd(t *testing.T) {
	t.Helper()
	nodes := byAddress(t, addresses(t))
	pid, err := os.ReadFile(dockerdPID)
	if err != nil {
		t.Fatal(err)
	}
	id := kill(t, string(pid))
	eventually(t, time.Minute, "dockerd ends", func(context.Context) string {
		if err := syscall.Kill(id, 0); !errors.Is(err, syscall.ESRCH) { // dockerd does not start while its pid file names a process
			return fmt.Sprintf("process %d exists (%v)", id, err)
		}
		return ""
	})
	command(t, "../../hack/docker.sh", "start")
	docker(t, "stop", "-t", "1", worker, controlPlane)
	for _, node := range nodes {
		docker(t, "start", node)
	}
}

// collectGarbage is a shell command that makes containerd collect garbage, as it does soon after each change.
const collectGarbage = "ctr -n k8s.io leases rm --sync $(ctr -n k8s.io leases create) >/dev/null; "

// onWorker runs a shell script on the worker node.
func onWorker(t *testing.T, script string) {
	t.Helper()
	docker(t, "exec", worker, "sh", "-c", script)
}

// newLinkDelivery returns the delivery of an image that no round has had before. Every other pod has imagePullPolicy Always.
func newLinkDelivery(t *testing.T, name string, random *rand.Rand) *linkDelivery {
	t.Helper()
	d := &linkDelivery{name: name, image: "e2e/" + name + ":local", random: random, policy: corev1.PullIfNotPresent}
	if random.IntN(2) == 0 {
		d.policy = corev1.PullAlways
	}
	d.rebuilt(t)
	return d
}
