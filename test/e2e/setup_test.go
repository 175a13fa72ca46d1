//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kind/pkg/cluster"

	"kind-local-registry/config"
)

func TestUp_SecondRunChangesNothing(t *testing.T) {
	up(t)
	before := snapshot(t)
	out := up(t)
	if !strings.Contains(out, "Nothing to change") {
		t.Errorf("second setup up prints no \"Nothing to change\":\n%s", out)
	}
	if after := snapshot(t); after != before {
		t.Errorf("state after the second setup up =\n%s\nwant\n%s", after, before)
	}
}

// snapshot returns a text that identifies everything that setup creates. The text changes if setup recreates or updates any of
// it.
func snapshot(t *testing.T) string {
	t.Helper()
	parts := []string{docker(t, "ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}} {{.Status}}", "--filter", "label="+ours)}
	hosting, err := suite.kube.CoreV1().ConfigMaps("kube-public").Get(t.Context(), "local-registry-hosting", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	deployed, err := suite.kube.AppsV1().Deployments(ours).Get(t.Context(), ours, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hook, err := suite.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), ours, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	parts = append(parts, hosting.ResourceVersion, string(deployed.UID), hook.ResourceVersion)
	return regexp.MustCompile(`Up .*`).ReplaceAllString(strings.Join(parts, "\n"), "Up")
}

func TestUp_RecoversFromAKilledRun(t *testing.T) {
	scale(t, 0) // so that the chart is unhealthy and setup up upgrades it
	cmd := exec.CommandContext(t.Context(), suite.setup, "up", "--cluster", clusterName, "--kubeconfig", suite.kubeconfig)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the Helm release is pending", func(ctx context.Context) string {
		pending, err := suite.kube.CoreV1().Secrets(ours).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,status=pending-upgrade"})
		if err != nil {
			return err.Error()
		}
		if len(pending.Items) == 0 {
			return "no pending release yet"
		}
		return ""
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // returns an error, because the process was killed

	up(t)
	if out, err := suite.run(t.Context(), "status", "--cluster", clusterName); err != nil {
		t.Errorf("setup status after setup up: %v\n%s", err, out)
	}
}

// TestRecreatedCluster_RunsTheSamePodsAndUploadsNoBlob recreates the cluster. Docker still has the image of the Deployment. It has
// lost the image of the pod, which only the registry has then.
func TestRecreatedCluster_RunsTheSamePodsAndUploadsNoBlob(t *testing.T) {
	image, lost := buildImage(t, "e2e/recreated:local", "hello", 20), buildImage(t, "e2e/lost:local", "lost", 5)
	createDeployment(t, deployment("recreated", image, 2))
	createPod(t, "lost", namespace, podSpec(lost))
	pods := []*corev1.Pod{&awaitPods(t, "recreated", 2, "")[0], awaitRunning(t, "lost", time.Minute)}
	for _, pod := range pods {
		eventually(t, time.Minute, "the registry gets the image", func(ctx context.Context) string { return inRegistry(ctx, pod) })
	}
	want, wantLost := pods[0].Spec.Containers[0].Image, pods[1].Spec.Containers[0].Image
	removeImage(t, lost)
	uploads := blobUploads(t)

	provider := cluster.NewProvider(cluster.ProviderWithDocker())
	if err := provider.Delete(clusterName, suite.kubeconfig); err != nil {
		t.Fatal(err)
	}
	up(t)
	createDeployment(t, deployment("recreated", image, 2))

	for _, pod := range awaitPods(t, "recreated", 2, "") {
		if got := pod.Spec.Containers[0].Image; got != want {
			t.Errorf("image of pod %s = %s, want %s as before", pod.Name, got, want)
		}
	}
	runLost(t, lost, wantLost)
	if got := blobUploads(t); got != uploads {
		t.Errorf("%d blob uploads, want still %d", got, uploads)
	}
}

// runLost runs an image that only the registry has: one node pulls it, and the linker gives it to the other node.
func runLost(t *testing.T, image, want string) {
	t.Helper()
	for i, node := range []string{worker, controlPlane} {
		begin, name := time.Now(), fmt.Sprintf("lost-%d", i)
		createPod(t, name, namespace, onNode(node, image))
		if got := awaitRunning(t, name, time.Minute).Spec.Containers[0].Image; got != want {
			t.Errorf("image of pod %s = %s, want %s as before", name, got, want)
		}
		if !linking() {
			continue
		}
		if i > 0 {
			wantLinked(t, begin, node)
			continue
		}
		pulled := fmt.Sprintf(`"msg":"layers not linked, the node pulls them","node":%q`, node)
		if log := linkerLog(t, begin); !strings.Contains(log, pulled) {
			t.Errorf("the linker's log has no %s:\n%s", pulled, log)
		}
	}
}

// blobUploads returns the number of blob uploads since the registry was started, from the registry's metrics.
func blobUploads(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:5001/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^kind_local_registry_blob_uploads_total (\d+)$`).FindSubmatch(body)
	if match == nil {
		t.Fatalf("the registry's metrics have no blob uploads:\n%s", body)
	}
	uploads, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return uploads
}

func TestDockerRestart_KeepsTheRegistryAndAllAddresses(t *testing.T) {
	if _, err := os.Stat("/run/kind-local-registry/dockerd.pid"); err != nil {
		t.Skip("SKIP: hack/docker.sh did not start this Docker, so the test must not restart it")
	}
	image, want := pushedImage(t, "docker-restarted")
	before := addresses(t)
	var took []time.Duration
	for range count(1, 10) {
		command(t, "../../hack/docker.sh", "restart")
		took = append(took, awaitRecovery(t, time.Now(), image, want))
		t.Logf("nodes Ready and pods rewritten %s after the restart of Docker", took[len(took)-1])
		wantAddresses(t, before)
	}
	t.Logf("%d restarts of Docker: recovered within %s at most", len(took), slices.Max(took))
	eventuallyRewrites(t)

	unpushed := buildImage(t, "e2e/after-restart:local", "hello")
	createPod(t, "after-restart", namespace, podSpec(unpushed))
	awaitRunning(t, "after-restart", 3*time.Minute)
}

// wantAddresses fails the test if one of our containers has a different address than before, or if the nodes have a different set
// of addresses.
func wantAddresses(t *testing.T, before map[string]string) {
	t.Helper()
	after := addresses(t)
	for _, container := range []string{"kind-registry", "kind-registry-pusher"} {
		if before[container] != after[container] {
			t.Errorf("address of %s = %s, want %s", container, after[container], before[container])
		}
	}
	if got, want := nodeAddresses(after), nodeAddresses(before); !equalSets(got, want) {
		t.Errorf("addresses of the nodes = %v, want %v", got, want)
	}
}

// addresses returns the IPv4 address of every container on the kind network, keyed by the container's name.
func addresses(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	eventually(t, time.Minute, "all containers are on the kind network", func(ctx context.Context) string {
		out, err := exec.CommandContext(ctx, "docker", "network", "inspect", "kind").Output()
		if err != nil {
			return err.Error()
		}
		var networks []struct {
			Containers map[string]struct{ Name, IPv4Address string }
		}
		if err := json.Unmarshal(out, &networks); err != nil {
			return err.Error()
		}
		for _, c := range networks[0].Containers {
			found[c.Name] = c.IPv4Address
		}
		if len(networks[0].Containers) < 4 {
			return "only " + strings.Join(keys(found), ", ")
		}
		return ""
	})
	return found
}

func keys(m map[string]string) []string {
	var all []string
	for key := range m {
		all = append(all, key)
	}
	return all
}

func nodeAddresses(all map[string]string) map[string]bool {
	nodes := map[string]bool{}
	for name, address := range all {
		if strings.HasPrefix(name, clusterName+"-") {
			nodes[address] = true
		}
	}
	return nodes
}

func equalSets(a, b map[string]bool) bool {
	for key := range a {
		if !b[key] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestUp_KeepsTheChosenRegistryImage(t *testing.T) {
	const chosen = "e2e/another-registry:1"
	version := strings.TrimPrefix(docker(t, "inspect", "--format", "{{.Config.Image}}", "kind-registry"), "sha256:")
	docker(t, "tag", version, chosen)
	t.Cleanup(func() { removeImage(t, chosen) })
	upAfterwards(t)
	t.Cleanup(func() { _, _ = backgroundCommand("docker", "rm", "-f", config.RegistryContainer) }) // so that up uses the default image again
	image := buildImage(t, "e2e/kept:local", "hello")
	createPod(t, "before-choice", namespace, podSpec(image))
	running := awaitRunning(t, "before-choice", time.Minute)
	eventually(t, time.Minute, "the registry gets the image", func(ctx context.Context) string { return inRegistry(ctx, running) })

	if out, err := suite.up(t.Context(), "--registry-image", chosen); err != nil {
		t.Fatalf("setup up: %v\n%s", err, out)
	}
	if got := docker(t, "inspect", "--format", `{{index .Config.Labels "kind-local-registry/image"}}`, "kind-registry"); got != chosen {
		t.Errorf("image of kind-registry = %q, want %q", got, chosen)
	}
	if out := up(t); !strings.Contains(out, "Nothing to change") {
		t.Errorf("setup up without --registry-image changes something, want it to keep the chosen image:\n%s", out)
	}
	pod, _ := createPod(t, "after-choice", namespace, podSpec(image))
	if got := pod.Spec.Containers[0].Image; !strings.HasPrefix(got, registry+"/"+image+"@sha256:") {
		t.Errorf("image of a new pod = %s, want it from the registry, by digest", got)
	}
}
