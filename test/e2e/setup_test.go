//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kind/pkg/cluster"
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
		t.Errorf("%s blobs were uploaded, want none since %s", got, uploads)
	}
}

// blobUploads returns how many blobs the registry has taken since it was started, as it counts them itself.
func blobUploads(t *testing.T) string {
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
	match := regexp.MustCompile(`(?m)^kind_local_registry_blob_uploads_total (\S+)$`).FindSubmatch(body)
	if match == nil {
		t.Fatalf("the registry does not count its uploads:\n%s", body)
	}
	return string(match[1])
}

func TestDockerRestart_BringsTheRegistryBackAndMovesNoNode(t *testing.T) {
	if _, err := os.Stat("/run/kind-local-registry/dockerd.pid"); err != nil {
		t.Skip("SKIP: this Docker was not started by hack/docker.sh, so it is not ours to restart")
	}
	before := addresses(t)
	command(t, "../../hack/docker.sh", "restart")
	after := addresses(t)

	for _, container := range []string{"kind-registry", "kind-registry-pusher"} {
		if before[container] != after[container] {
			t.Errorf("%s moved from %s to %s", container, before[container], after[container])
		}
	}
	if got, want := nodeAddresses(after), nodeAddresses(before); !equalSets(got, want) {
		t.Errorf("the nodes have the addresses %v, want %v", got, want)
	}
	eventuallyRewrites(t)

	image := buildImage(t, "e2e/after-restart:local", "hello")
	createPod(t, "after-restart", namespace, podSpec(image))
	awaitRunning(t, "after-restart", 3*time.Minute)
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

func TestUp_SaysInOneSentenceWhatIsWrongAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, taken, _ := net.SplitHostPort(listener.Addr().String())

	tests := map[string]struct {
		env, args []string
		want      string // what the sentence must name
	}{
		"Docker is not running": {
			env: []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}, want: `unix:///nowhere/docker\.sock.*start it`,
		},
		"the registry's port is taken":                 {args: []string{"--registry-port", taken}, want: "port.* " + taken},
		"the cluster does not exist with --adopt-only": {args: []string{"--adopt-only"}, want: `no kind cluster "faulty".*--adopt-only`},
		"the kind configuration has an unknown field":  {args: []string{"--config", write("field.yaml", "kind: Cluster\nndoes: []\n")}, want: `field\.yaml.*ndoes`},
		"the kind configuration is refused by kind":    {args: []string{"--config", write("role.yaml", "kind: Cluster\nnodes: [{role: boss}]\n")}, want: "boss"},
		"the kind configuration does not exist":        {args: []string{"--config", filepath.Join(dir, "none.yaml")}, want: `none\.yaml.*--config`},
		"the kubeconfig is not one":                    {args: []string{"--kubeconfig", write("broken", "{")}, want: `broken.*--kubeconfig`},
		"the kubeconfig cannot be read":                {args: []string{"--kubeconfig", dir}, want: `kubeconfig.*--kubeconfig`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := everything(t)
			args := append([]string{"up", "--cluster", "faulty", "--node-image", suite.nodeImage}, test.args...)
			if !strings.Contains(strings.Join(args, " "), "--kubeconfig") {
				args = append(args, "--kubeconfig", filepath.Join(t.TempDir(), "kubeconfig"))
			}
			cmd := exec.CommandContext(t.Context(), suite.setup, args...)
			cmd.Env = append(os.Environ(), test.env...)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("setup %s succeeded:\n%s", strings.Join(args, " "), out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			sentence := lines[len(lines)-1]
			t.Log(sentence)
			if !regexp.MustCompile(test.want).MatchString(sentence) {
				t.Errorf("the last line is %q, want it to match %q", sentence, test.want)
			}
			if after := everything(t); after != before {
				t.Errorf("something was left:\n%s\nwant:\n%s", after, before)
			}
		})
	}
}

// everything is every container, volume and network that Docker has.
func everything(t *testing.T) string {
	t.Helper()
	return strings.Join([]string{
		docker(t, "ps", "-a", "--format", "{{.Names}}"), docker(t, "volume", "ls", "-q"),
		docker(t, "network", "ls", "--format", "{{.Name}}"),
	}, "\n")
}

// The cluster of this suite was created by setup, and down would delete it whole: taking our parts out of a cluster is
// shown on one that was only adopted.
func TestDown_LeavesNothingButTheRegistryInAnAdoptedCluster(t *testing.T) {
	label(t, "created-by-setup-")
	out, err := suite.run(t.Context(), "down", "--cluster", clusterName)
	if err != nil {
		t.Fatalf("setup down: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := suite.up(context.Background()); err != nil {
			t.Errorf("setup up after down: %v\n%s", err, out)
		}
		label(t, "created-by-setup=true")
	})

	if got := docker(t, "ps", "-a", "--format", "{{.Names}}", "--filter", "label="+ours); got != "kind-registry" {
		t.Errorf("containers of ours: %q, want kind-registry alone", got)
	}
	if got := docker(t, "volume", "ls", "-q", "--filter", "name=kind-registry"); got != "kind-registry" {
		t.Errorf("volumes of ours: %q, want kind-registry alone", got)
	}
	hooks, err := suite.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(hooks.Items) != 0 {
		t.Errorf("webhook configurations: %v, %v; want none", hooks.Items, err)
	}
	if _, err := suite.kube.CoreV1().ConfigMaps("kube-public").Get(t.Context(), "local-registry-hosting", metav1.GetOptions{}); err == nil {
		t.Error("the ConfigMap local-registry-hosting is still there")
	}
	if _, err := suite.kube.CoreV1().Namespaces().Get(t.Context(), ours, metav1.GetOptions{}); err == nil {
		t.Error("our namespace is still there")
	}
	for _, node := range nodeNames(t) {
		if found := docker(t, "exec", node, "sh", "-c", "ls -d /etc/containerd/certs.d/localhost:5001 2>/dev/null || true"); found != "" {
			t.Errorf("node %s still has %s", node, found)
		}
	}
	if status, err := suite.run(t.Context(), "status", "--cluster", clusterName); err == nil {
		t.Errorf("setup status finds nothing wrong after down:\n%s", status)
	}
}

// label changes the mark on the nodes by which setup knows a cluster that it created.
func label(t *testing.T, change string) {
	t.Helper()
	out, err := backgroundCommand("kubectl", "--kubeconfig", suite.kubeconfig, "label", "nodes", "--all", ours+"/"+change)
	if err != nil {
		t.Fatalf("labelling the nodes: %v\n%s", err, out)
	}
}

func nodeNames(t *testing.T) []string {
	t.Helper()
	list, err := suite.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, node := range list.Items {
		names = append(names, node.Name)
	}
	return names
}
