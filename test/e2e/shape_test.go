//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"kind-local-registry/test/testimage"
)

// TestPods_RunImagesOfEveryShape adds a program to each unusual image, in a layer below the unusual layers, and runs the program.
func TestPods_RunImagesOfEveryShape(t *testing.T) {
	program := helloFile(t)
	number := 0
	pods := map[string]string{}
	for kind, files := range testimage.All() {
		number++
		pod := fmt.Sprintf("shape-%d", number)
		loadShape(t, "shapes/"+pod+":local", append([][]testimage.File{{program}}, files...))
		createPod(t, pod, namespace, podSpec("shapes/"+pod+":local"))
		pods[pod] = kind
	}
	for pod, kind := range pods {
		running := awaitRunning(t, pod, 3*time.Minute)
		if image := running.Spec.Containers[0].Image; !strings.HasPrefix(image, registry+"/shapes/"+pod+":local@sha256:") {
			t.Errorf("%s: image = %s, want it from the registry, by digest", kind, image)
		}
	}
	checkWhiteouts(t, pods)
}

// checkWhiteouts fails the test if a file that a layer deletes still exists.
func checkWhiteouts(t *testing.T, pods map[string]string) {
	t.Helper()
	for pod, kind := range pods {
		if kind != "whiteouts and opaque directories" {
			continue
		}
		if got := strings.TrimSpace(listDirectories(t, pod)); got != "d/b e/new" {
			t.Errorf("%s: files in d and e = %q, want \"d/b e/new\"", kind, got)
		}
	}
}

// listDirectories lists the directories d and e in the pod's container. It reads them on the pod's node.
func listDirectories(t *testing.T, pod string) string {
	t.Helper()
	running := awaitRunning(t, pod, time.Minute)
	id := strings.TrimPrefix(running.Status.ContainerStatuses[0].ContainerID, "containerd://")
	script := "cd /run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id + "/rootfs && echo d/* e/*"
	return docker(t, "exec", running.Spec.NodeName, "sh", "-c", script)
}

// loadShape loads an image with the layers into the host's Docker daemon.
func loadShape(t *testing.T, reference string, files [][]testimage.File) {
	t.Helper()
	if len(files) > 125 {
		files = files[:125] // overlay2 supports no more layers
	}
	load(t, reference, runnable(t, files))
}

// runnable returns an image with the layers, one of which must contain the program hello.
func runnable(t *testing.T, files [][]testimage.File) v1.Image {
	t.Helper()
	var layers [][]byte
	for _, layer := range files {
		layers = append(layers, testimage.Layer(t, layer))
	}
	image, err := mutate.Config(testimage.Image(t, layers...), v1.Config{Entrypoint: []string{"/hello"}})
	if err != nil {
		t.Fatal(err)
	}
	return image
}
