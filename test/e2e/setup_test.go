//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kind/pkg/cluster"

	"kind-local-registry/config"
)

func TestUp_TwiceChangesNothing(t *testing.T) {
	up(t)
	before := snapshot(t)
	out := up(t)
	if !strings.Contains(out, "Nothing to change") {
		t.Errorf("the second setup up says:\n%s", out)
	}
	if after := snapshot(t); after != before {
		t.Errorf("the second setup up changed something:\n%s\n%s", before, after)
	}
}

// snapshot is everything that setup makes, with what changes when it is made anew.
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

func TestUp_GoesOnAfterARunThatWasKilled(t *testing.T) {
	scale(t, 0) // so that setup up has a chart to upgrade
	cmd := exec.CommandContext(t.Context(), suite.setup, "up", "--cluster", clusterName, "--kubeconfig", suite.kubeconfig)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "Helm's release is pending", func(ctx context.Context) string {
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
	_ = cmd.Wait() // it was killed

	up(t)
	if out, err := suite.run(t.Context(), "status", "--cluster", clusterName); err != nil {
		t.Errorf("setup status after that:\n%s", out)
	}
}

func TestRecreatedCluster_RunsTheSamePodsAndUploadsNoBlob(t *testing.T) {
	image := buildImage(t, "e2e/recreated:local", "hello", 20)
	createDeployment(t, deployment("recreated", image, 2))
	want := awaitPods(t, "recreated", 2, "")[0].Spec.Containers[0].Image
	uploads := blobUploads(t)

	provider := cluster.NewProvider(cluster.ProviderWithDocker())
	if err := provider.Delete(clusterName, suite.kubeconfig); err != nil {
		t.Fatal(err)
	}
	up(t)
	createDeployment(t, deployment("recreated", image, 2))

	for _, pod := range awaitPods(t, "recreated", 2, "") {
		if got := pod.Spec.Containers[0].Image; got != want {
			t.Errorf("pod %s runs %s, want %s as before", pod.Name, got, want)
		}
	}
	if got := blobUploads(t); got != uploads {
		t.Errorf("%d blobs were uploaded, want none since %d", got, uploads)
	}
}

// blobUploads returns how many blobs the registry has taken since it was started, as it counts them itself.
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
		t.Fatalf("the registry does not count its uploads:\n%s", body)
	}
	uploads, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return uploads
}

func TestDockerRestart_BringsTheRegistryBackAndMovesNoNode(t *testing.T) {
	if _, err := os.Stat("/run/kind-local-registry/dockerd.pid"); err != nil {
		t.Skip("SKIP: this Docker was not started by hack/docker.sh, so it is not ours to restart")
	}
	image, want := pushedImage(t, "docker-restarted")
	before := addresses(t)
	var took []time.Duration
	for range count(1, 10) {
		command(t, "../../hack/docker.sh", "restart")
		took = append(took, awaitBack(t, time.Now(), image, want))
		t.Logf("after a restart of Docker the nodes were Ready and pods rewritten after %s", took[len(took)-1])
		wantAddresses(t, before)
	}
	t.Logf("%d restarts of Docker: %s at most until all was back", len(took), slices.Max(took))
	eventuallyRewrites(t)

	unpushed := buildImage(t, "e2e/after-restart:local", "hello")
	createPod(t, "after-restart", namespace, podSpec(unpushed))
	awaitRunning(t, "after-restart", 3*time.Minute)
}

// wantAddresses fails the test where one of our containers has moved, or the nodes have other addresses among them.
func wantAddresses(t *testing.T, before map[string]string) {
	t.Helper()
	after := addresses(t)
	for _, container := range []string{"kind-registry", "kind-registry-pusher"} {
		if before[container] != after[container] {
			t.Errorf("%s moved from %s to %s", container, before[container], after[container])
		}
	}
	if got, want := nodeAddresses(after), nodeAddresses(before); !equalSets(got, want) {
		t.Errorf("the nodes have the addresses %v, want %v", got, want)
	}
}

// addresses returns the IPv4 address on the kind network of every container there, by name.
func addresses(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	eventually(t, time.Minute, "all containers are back", func(ctx context.Context) string {
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

func TestUp_KeepsTheRegistryImageThatWasChosen(t *testing.T) {
	const chosen = "e2e/another-registry:1"
	version := strings.TrimPrefix(docker(t, "inspect", "--format", "{{.Config.Image}}", "kind-registry"), "sha256:")
	docker(t, "tag", version, chosen)
	t.Cleanup(func() { removeImage(t, chosen) })
	upAfterwards(t)
	t.Cleanup(func() { _, _ = backgroundCommand("docker", "rm", "-f", config.RegistryContainer) }) // so that up chooses anew
	image := buildImage(t, "e2e/kept:local", "hello")
	createPod(t, "before-choice", namespace, podSpec(image))
	awaitRunning(t, "before-choice", time.Minute)

	if out, err := suite.up(t.Context(), "--registry-image", chosen); err != nil {
		t.Fatalf("setup up: %v\n%s", err, out)
	}
	if got := docker(t, "inspect", "--format", `{{index .Config.Labels "kind-local-registry/image"}}`, "kind-registry"); got != chosen {
		t.Errorf("kind-registry runs image %q, want %q", got, chosen)
	}
	if out := up(t); !strings.Contains(out, "Nothing to change") {
		t.Errorf("setup up without a choice does not keep the one that was made:\n%s", out)
	}
	pod, _ := createPod(t, "after-choice", namespace, podSpec(image))
	if got := pod.Spec.Containers[0].Image; !strings.HasPrefix(got, registry+"/"+image+"@sha256:") {
		t.Errorf("the image is not in the registry any more: a new pod runs %s", got)
	}
}
