//go:build e2e

package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// TestPrune_RemovesWhatKindLoadLeavesBehind loads two builds of an image into a node as kind load docker-image does. The first build
// then has only a name that begins with import-.
func TestPrune_RemovesWhatKindLoadLeavesBehind(t *testing.T) {
	node := nodeNames(t)[0]
	image := buildImage(t, "e2e/loaded:local", "first build", 5)
	kindLoad(t, node, image)
	first := docker(t, "image", "inspect", "--format", "{{.Id}}", image)
	buildImage(t, image, "second build", 5)
	kindLoad(t, node, image)
	second := docker(t, "image", "inspect", "--format", "{{.Id}}", image)
	listed := docker(t, "exec", node, "crictl", "images", "--no-trunc")
	if !strings.Contains(listed, first) || !strings.Contains(listed, second) {
		t.Fatalf("node %s does not have both builds, %s and %s:\n%s", node, first, second, listed)
	}

	out, err := exec.CommandContext(t.Context(), suite.setup, "prune", "--yes").CombinedOutput()
	if err != nil {
		t.Fatalf("setup prune: %v\n%s", err, out)
	}

	listed = docker(t, "exec", node, "crictl", "images", "--no-trunc")
	if strings.Contains(listed, first) || !strings.Contains(listed, second) {
		t.Errorf("images on node %s, of which want the second build, %s, and not the first, %s:\n%s\nsetup prune:\n%s",
			node, second, first, listed, out)
	}
	docker(t, "exec", node, "crictl", "rmi", image)
}

// kindLoad loads an image into a node as kind load docker-image does.
func kindLoad(t *testing.T, node, image string) {
	t.Helper()
	const script = `docker save "$2" | docker exec -i "$1" ctr -n k8s.io images import --all-platforms --digests --snapshotter=overlayfs -`
	command(t, "sh", "-ec", script, "sh", node, image)
}
