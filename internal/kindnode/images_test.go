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
	// listed is what crictl images prints on a node of kind. The last image is one that containerd no longer has.
	listed = `{"images":[
		{"id":"sha256:aa","repoTags":[],"repoDigests":["localhost:5001/app@sha256:11"],"size":"2000","uid":null,"spec":null,"pinned":false},
		{"id":"sha256:bb","repoTags":["localhost:5001/db:1"],"repoDigests":["localhost:5001/db@sha256:22"],"size":"3000","pinned":false},
		{"id":"sha256:cc","repoTags":["registry.k8s.io/pause:3.10"],"repoDigests":[],"size":"","pinned":true},
		{"id":"sha256:dd","repoTags":[],"repoDigests":["docker.io/library/import-2026-01-31@sha256:33"],"size":"4000"},
		{"id":"sha256:ee","repoTags":[],"repoDigests":["docker.io/library/import-2026-01-31@sha256:44"],"size":"4000"}]}`
	// running is what crictl ps prints: a running container, and one that has ended.
	running = `{"containers":[
		{"id":"1","image":{"image":"sha256:bb","annotations":{}},"imageRef":"sha256:bb","state":"CONTAINER_RUNNING"},
		{"id":"2","image":{"image":"sha256:aa","annotations":{}},"imageRef":"sha256:aa","state":"CONTAINER_EXITED"}]}`
	// names is what ctr prints: containerd's names, among them an image's ID.
	names = `localhost:5001/app@sha256:11
localhost:5001/db:1
localhost:5001/db@sha256:22
registry.k8s.io/pause:3.10
import-2026-01-31@sha256:33
sha256:aa
sha256:bb
sha256:dd
`
)

// crictl is a fake crictl that prints listed and running. Like the real one, it removes an image's ID and its names, except names
// that have no registry.
const crictl = `
case "$*" in
"images -o json") cat "$STATE/listed" ;;
"ps -a -o json") cat "$STATE/running" ;;
"rmi sha256:broken") echo "cannot remove" >&2; exit 1 ;;
"rmi sha256:aa") grep -v -e sha256:aa -e app@ "$STATE/names" >"$STATE/left"; mv "$STATE/left" "$STATE/names" ;;
"rmi sha256:dd") grep -v -e sha256:dd -e docker.io/library/import "$STATE/names" >"$STATE/left"; mv "$STATE/left" "$STATE/names" ;;
"inspecti docker.io/library/import-"*)
	# The runtime notices the new name only after a moment.
	if [ ! -e "$STATE/asked" ]; then touch "$STATE/asked"; exit 1; fi
	grep -x -e "$2" "$STATE/names" ;;
*) echo "unexpected: crictl $*" >&2; exit 2 ;;
esac`

// ctr is a fake ctr that prints, adds and removes names.
const ctr = `
case "$*" in
"-n k8s.io images ls -q") cat "$STATE/names" ;;
"-n k8s.io images tag --force import-"*) echo "$7" >>"$STATE/names" ;;
"-n k8s.io images rm import-"*) grep -v -x -e "$5" "$STATE/names" >"$STATE/left"; mv "$STATE/left" "$STATE/names" ;;
*) echo "unexpected: ctr $*" >&2; exit 2 ;;
esac`

// addWorker adds a node with the fake programs, and returns the directory of its state.
func addWorker(t *testing.T, daemon *enginetest.Daemon) (state string) {
	t.Helper()
	state = t.TempDir()
	for name, content := range map[string]string{"listed": listed, "running": running, "names": names} {
		if err := os.WriteFile(filepath.Join(state, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addNode(t, daemon, "a", "a-worker", "worker", map[string]string{
		"crictl": "STATE=" + state + "\n" + crictl, "ctr": "STATE=" + state + "\n" + ctr,
	})
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
		{Cluster: "a", Node: "a-worker", ID: "sha256:dd", References: []string{"docker.io/library/import-2026-01-31@sha256:33"}, Bytes: 4000},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Images (-want +got):\n%s", diff)
	}
}

func TestRemoveImages_RemovesThoseThatNoContainerUses(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	state := addWorker(t, daemon)
	client := newClient(t, daemon)
	images, err := client.Images(t.Context(), "a", "a-worker")
	if err != nil {
		t.Fatal(err)
	}
	broken := disk.NodeImage{ID: "sha256:broken", References: []string{"registry.k8s.io/pause:3.10"}}
	got, err := client.RemoveImages(t.Context(), "a-worker", []disk.NodeImage{images[0], images[1], images[3], broken})
	if diff := cmp.Diff([]disk.NodeImage{images[0], images[3]}, got); diff != "" || err != nil {
		t.Errorf("RemoveImages = error %v (-want +got):\n%s", err, diff)
	}
	left, err := os.ReadFile(filepath.Join(state, "names"))
	if want := "localhost:5001/db:1\nlocalhost:5001/db@sha256:22\nregistry.k8s.io/pause:3.10\nsha256:bb\n"; err != nil || string(left) != want {
		t.Errorf("containerd still has %q (error %v), want %q", left, err, want)
	}
	if got, err := client.RemoveImages(t.Context(), "a-worker", images[1:2]); len(got) > 0 || err != nil {
		t.Errorf("RemoveImages of a used image = %v, %v, want nothing", got, err)
	}
}

func TestImages_ReturnsTheNodesError(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	addNode(t, daemon, "a", "no-runtime", "worker", map[string]string{"crictl": "echo 'cannot connect to the runtime' >&2; exit 7"})
	addNode(t, daemon, "a", "cut", "worker", map[string]string{"crictl": "echo '{\"images\":['", "ctr": "true"})
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
