package kindnode_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host/engine/enginetest"
)

const (
	// listed is what crictl images prints on a node of kind.
	listed = `{"images":[
		{"id":"sha256:aa","repoTags":[],"repoDigests":["localhost:5001/app@sha256:11"],"size":"2000","uid":null,"spec":null,"pinned":false},
		{"id":"sha256:bb","repoTags":["localhost:5001/db:1"],"repoDigests":["localhost:5001/db@sha256:22"],"size":"3000","pinned":false},
		{"id":"sha256:cc","repoTags":["registry.k8s.io/pause:3.10"],"repoDigests":[],"size":"","pinned":true}]}`
	// running is what crictl ps prints: a running container, and one that has ended.
	running = `{"containers":[
		{"id":"1","image":{"image":"sha256:bb","annotations":{}},"imageRef":"sha256:bb","state":"CONTAINER_RUNNING"},
		{"id":"2","image":{"image":"sha256:aa","annotations":{}},"imageRef":"sha256:aa","state":"CONTAINER_EXITED"}]}`
)

// crictl is a fake crictl that prints listed and running, and records the images that it removes.
const crictl = `
case "$*" in
"images -o json") cat "$STATE/listed" ;;
"ps -a -o json") cat "$STATE/running" ;;
"rmi sha256:broken") echo "cannot remove" >&2; exit 1 ;;
rmi*) echo "$2" >>"$STATE/removed"; echo "Deleted: $2" ;;
*) echo "unexpected: $*" >&2; exit 2 ;;
esac`

// addWorker adds a node with the fake crictl, and returns the directory of its state.
func addWorker(t *testing.T, daemon *enginetest.Daemon) (state string) {
	t.Helper()
	state = t.TempDir()
	for name, content := range map[string]string{"listed": listed, "running": running} {
		if err := os.WriteFile(filepath.Join(state, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addNode(t, daemon, "a", "a-worker", "worker", map[string]string{"crictl": "STATE=" + state + "\n" + crictl})
	return state
}

func TestImages_ListsImagesAndTheirContainers(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	addWorker(t, daemon)
	got, err := newClient(t, daemon).Images(t.Context(), "a", "a-worker")
	if err != nil {
		t.Fatal(err)
	}
	want := []disk.NodeImage{
		{Cluster: "a", Node: "a-worker", ID: "sha256:aa", References: []string{"localhost:5001/app@sha256:11"}, Bytes: 2000},
		{
			Cluster: "a", Node: "a-worker", ID: "sha256:bb", References: []string{"localhost:5001/db:1", "localhost:5001/db@sha256:22"}, Bytes: 3000,
			Running: true,
		},
		{Cluster: "a", Node: "a-worker", ID: "sha256:cc", References: []string{"registry.k8s.io/pause:3.10"}, Pinned: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Images (-want +got):\n%s", diff)
	}
}

func TestRemoveImages_KeepsThoseThatAContainerUses(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	state := addWorker(t, daemon)
	got, err := newClient(t, daemon).RemoveImages(t.Context(), "a-worker", []string{"sha256:aa", "sha256:broken", "sha256:bb", "sha256:dd"})
	if diff := cmp.Diff([]string{"sha256:aa", "sha256:dd"}, got); diff != "" || err != nil {
		t.Errorf("RemoveImages = error %v (-want +got):\n%s", err, diff)
	}
	removed, err := os.ReadFile(filepath.Join(state, "removed"))
	if want := "sha256:aa\nsha256:dd\n"; err != nil || string(removed) != want {
		t.Errorf("crictl removed %q (error %v), want %q", removed, err, want)
	}
	if got, err := newClient(t, daemon).RemoveImages(t.Context(), "a-worker", []string{"sha256:bb"}); len(got) > 0 || err != nil {
		t.Errorf("RemoveImages of a used image = %q, %v, want nothing", got, err)
	}
}

func TestImages_ReturnsTheNodesError(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	addNode(t, daemon, "a", "no-runtime", "worker", map[string]string{"crictl": "echo 'cannot connect to the runtime' >&2; exit 7"})
	addNode(t, daemon, "a", "cut", "worker", map[string]string{"crictl": "echo '{\"images\":['"})
	stop(addNode(t, daemon, "a", "stopped", "worker", nil))
	for node, want := range map[string]string{
		"no-runtime": "node no-runtime: exit status 7: cannot connect to the runtime",
		"cut":        "unexpected EOF",
		"stopped":    "stopped is not running",
		"absent":     "No such container",
	} {
		if _, err := newClient(t, daemon).Images(t.Context(), "a", node); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Images of node %s = %v, want an error with %q", node, err, want)
		}
	}
}
