//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/internal/host/report"
)

// Setup created this suite's cluster, so down would delete it. The test therefore turns the cluster into an adopted one whose
// containerd previously had another config_path.
func TestDown_OfAnAdoptedClusterLeavesOnlyTheRegistry(t *testing.T) {
	label(t, "created-by-setup-")
	t.Cleanup(func() { label(t, "created-by-setup=true") })
	upAfterwards(t)
	foreign := setForeignConfigPath(t, clusterName+"-worker")
	up(t)
	if got := containerdConfig(t, clusterName+"-worker"); got == foreign {
		t.Error("setup up left containerd's foreign config_path, want our own")
	}

	waiting := waitingPods(t, 3)
	plan := planDown(t)
	if out, err := suite.run(t.Context(), "down", "--cluster", clusterName); err != nil {
		t.Fatalf("setup down: %v\n%s", err, out)
	}

	if got := docker(t, "ps", "-a", "--format", "{{.Names}}", "--filter", "label="+ours); got != "kind-registry" {
		t.Errorf("our containers = %q, want only kind-registry", got)
	}
	if got := docker(t, "volume", "ls", "-q", "--filter", "name=kind-registry"); got != "kind-registry\nkind-registry-socket" {
		t.Errorf("our volumes = %q, want only those of kind-registry", got)
	}
	if got := containerdConfig(t, clusterName+"-worker"); got != foreign {
		t.Errorf("containerd's configuration =\n%s\nwant\n%s", got, foreign)
	}
	for _, node := range nodeNames(t) {
		left := docker(t, "exec", node, "sh", "-c", "ls -d /etc/containerd/certs.d/localhost:5001 /etc/containerd/*kind-local-registry* 2>/dev/null || true")
		if left != "" {
			t.Errorf("files left on node %s: %s, want none", node, left)
		}
	}
	wantPlanned(t, plan)
	wantChartGone(t, time.Second)
	if _, err := suite.kube.CoreV1().ConfigMaps("kube-public").Get(t.Context(), "local-registry-hosting", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("getting the ConfigMap local-registry-hosting: %v, want not found", err)
	}
	for _, pod := range waiting {
		awaitRestored(t, pod, time.Second)
	}
	if status, err := suite.run(t.Context(), "status", "--cluster", clusterName); err == nil {
		t.Errorf("setup status after down succeeded, want an error:\n%s", status)
	}
}

// planDown returns the plan of setup down, and fails the test if printing the plan changes anything.
func planDown(t *testing.T, args ...string) []report.Change {
	t.Helper()
	before := snapshot(t)
	out := command(t, suite.setup, append([]string{"down", "--cluster", clusterName, "--dry-run", "-o", "json"}, args...)...)
	var document report.Down
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		t.Fatalf("parsing the output of setup down --dry-run -o json: %v\n%s", err, out)
	}
	if !document.DryRun || document.Cluster.Name != clusterName || document.Cluster.State != "running" || document.Cluster.Kubernetes == "" {
		t.Errorf("setup down --dry-run -o json prints %+v, want a dry run for running cluster %s", document, clusterName)
	}
	if after := snapshot(t); after != before {
		t.Errorf("state after setup down --dry-run =\n%s\nwant\n%s", after, before)
	}
	return document.Plan
}

// wantPlanned fails the test if the plan does not list what setup up has created, or unless everything that it deletes is gone and
// everything else exists.
func wantPlanned(t *testing.T, plan []report.Change) {
	t.Helper()
	listed := map[string]report.Change{}
	for _, change := range plan {
		listed[strings.Join(strings.Fields(change.Kind+" "+change.Name+" "+change.Node), " ")] = change
		if change.Action == "try" {
			t.Errorf("the plan contains %+v, want that every step could be read", change)
		}
	}
	worker := clusterName + "-worker"
	for object, action := range map[string]string{
		"release " + ours:                       "delete",
		"namespace " + ours:                     "delete",
		"container kind-registry-pusher":        "delete",
		"volume kind-registry-pusher":           "delete",
		"cluster " + clusterName:                "keep",
		"container kind-registry":               "keep",
		"volume kind-registry":                  "keep",
		"service containerd " + worker:          "restart",
		"file " + containerdFile + " " + worker: "restore",
		"file /etc/containerd/certs.d/localhost:5001/hosts.toml " + worker: "delete",
		"ConfigMap kube-public/local-registry-hosting":                     "delete",
	} {
		if got := listed[object].Action; got != action {
			t.Errorf("the plan's action for %s = %q, want %q", object, got, action)
		}
	}
	if size := listed["volume kind-registry"].Bytes; size < 1_000_000 {
		t.Errorf("the plan's size of volume kind-registry = %d bytes, want the size of the images in it", size)
	}
	for _, change := range plan {
		if gone, known := isGone(t, change); known && gone != (change.Action == "delete") {
			t.Errorf("after setup down, %s %s is gone: %t, but the plan's action is %s", change.Kind, change.Name, gone, change.Action)
		}
	}
}

// isGone reports whether a Docker object or a node's file no longer exists. known is false for other objects, and for restored ones.
func isGone(t *testing.T, change report.Change) (gone, known bool) {
	t.Helper()
	var err error
	switch change.Kind {
	case "container", "volume", "image", "network":
		_, err = backgroundCommand("docker", change.Kind, "inspect", change.Name)
	case "file":
		_, err = backgroundCommand("docker", "exec", change.Node, "test", "-e", change.Name)
	default:
		return false, false
	}
	return err != nil, true
}

func TestDown_WithoutATerminalDeletesNothing(t *testing.T) {
	plan := planDown(t)
	deletes := func(c report.Change) bool { return c.Kind == "cluster" && c.Action == "delete" && c.Loss }
	if !slices.ContainsFunc(plan, deletes) {
		t.Errorf("plan = %+v, want the cluster deleted, because setup created it", plan)
	}
	before := snapshot(t)
	for _, args := range [][]string{{}, {"--registry"}, {"--registry", "--keep-cluster"}} {
		out, err := suite.run(t.Context(), append([]string{"down", "--cluster", clusterName}, args...)...)
		if err == nil || !strings.Contains(out, "confirm with --yes") {
			t.Errorf("setup down %s = %v, want an error that names --yes:\n%s", strings.Join(args, " "), err, out)
		}
	}
	if after := snapshot(t); after != before {
		t.Errorf("state after setup down without a terminal =\n%s\nwant\n%s", after, before)
	}
}

// wantDownKeeps runs setup down with the arguments while a pod is gated. It fails the test unless that keeps the cluster, which setup
// created, removes the webhook and ungates the pod.
func wantDownKeeps(t *testing.T, args ...string) {
	t.Helper()
	waiting := waitingPods(t, 1)
	nodes := docker(t, "ps", "--no-trunc", "-q", "--filter", "label=io.x-k8s.kind.cluster="+clusterName)
	mustRun(t, &suite, args...)
	if got := docker(t, "ps", "--no-trunc", "-q", "--filter", "label=io.x-k8s.kind.cluster="+clusterName); got != nodes {
		t.Errorf("nodes after setup %s = %s, want %s", strings.Join(args, " "), got, nodes)
	}
	wantChartGone(t, time.Second)
	for _, pod := range waiting {
		awaitRestored(t, pod, time.Second)
	}
}

// setForeignConfigPath sets config_path in the node's containerd configuration to a directory that is not ours, and returns the
// new content of that file.
func setForeignConfigPath(t *testing.T, node string) string {
	t.Helper()
	docker(t, "exec", node, "sh", "-ec", `printf '\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/docker/certs.d"\n' \
		>>/etc/containerd/config.toml; systemctl restart containerd`)
	return containerdConfig(t, node)
}

// containerdFile is containerd's configuration file on a node.
const containerdFile = "/etc/containerd/config.toml"

func containerdConfig(t *testing.T, node string) string {
	t.Helper()
	return docker(t, "exec", node, "cat", containerdFile)
}

// label changes a label on the nodes. By that label, setup recognises a cluster that it created.
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
