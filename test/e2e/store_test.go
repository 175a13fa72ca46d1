//go:build e2e

package e2e

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kind-local-registry/test/dockerd"
	"kind-local-registry/test/testimage"
)

// TestPods_RunImagesOfTheContainerdStore covers image shapes that Docker's own store cannot hold. A second daemon has these
// images, and the pusher's service pushes them from that daemon to the cluster's registry.
func TestPods_RunImagesOfTheContainerdStore(t *testing.T) {
	daemon, err := dockerd.Start(dockerd.Containerd, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(daemon.Stop)
	service, _ := daemon.Service(t, "http://"+registry, registry, slog.DiscardHandler)
	attestation := testimage.Child{Attestation: true, Image: noProgram(t, "unknown/unknown", "an attestation")}
	for what, children := range map[string][]testimage.Child{
		"an index of several platforms": {
			{Image: noProgram(t, "linux/s390x", "for another machine")},
			{Image: helloImage(t, 1)},
		},
		"an image with an attestation": {{Image: helloImage(t, 1)}, attestation},
		"127 layers":                   {{Image: helloImage(t, 127)}},
	} {
		t.Run(what, func(t *testing.T) {
			pod := "store-" + strings.ReplaceAll(what, " ", "-")
			reference := "store/" + pod + ":1"
			daemon.Load(t, testimage.Layout(t, reference, children...))
			result, err := service.Push(t.Context(), reference, nil)
			if err != nil {
				t.Fatalf("Push(%q) = %v", reference, err)
			}
			createPod(t, pod, namespace, podSpec(registry+"/"+reference))
			running := awaitRunning(t, pod, time.Minute)
			// The kubelet may name another repository that has the same image.
			if got, want := running.Status.ContainerStatuses[0].ImageID, "@"+result.Digest.String(); !strings.HasSuffix(got, want) {
				t.Errorf("imageID = %s, want …%s", got, want)
			}
		})
	}
}

// helloImage returns a runnable image with the given number of layers.
func helloImage(t *testing.T, layers int) v1.Image {
	t.Helper()
	files := [][]testimage.File{{helloFile(t)}}
	for i := 1; i < layers; i++ {
		files = append(files, []testimage.File{testimage.Regular(fmt.Sprint("layer", i), "content")})
	}
	return runnable(t, files)
}

// noProgram returns an image that contains no program.
func noProgram(t *testing.T, platform, content string) v1.Image {
	t.Helper()
	return testimage.For(t, platform, testimage.Image(t, testimage.Layer(t, []testimage.File{testimage.Regular("content", content)})))
}
