//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// pushEntry is what setup push -o json says of one image.
type pushEntry struct {
	Image, Rewritten, Digest, Reason, Error string
	Bytes, PresentBytes                     int64
	Uploaded, Present                       int
	Duration                                float64
}

// push runs setup push -o json. It returns what that says of each image, what it prints beside that, and its error.
func push(t *testing.T, args ...string) ([]pushEntry, string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), suite.setup, append([]string{"push", "-o", "json"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var entries []pushEntry
	if len(out) > 0 {
		if err := json.Unmarshal(out, &entries); err != nil {
			t.Fatalf("setup push -o json prints something else: %v\n%s", err, out)
		}
	}
	return entries, stderr.String(), err
}

// mustPush pushes images, all of which must be in the registry then.
func mustPush(t *testing.T, images ...string) []pushEntry {
	t.Helper()
	entries, stderr, err := push(t, images...)
	if err != nil || len(entries) != len(images) {
		t.Fatalf("setup push %s: %v, %d entries\n%s", strings.Join(images, " "), err, len(entries), stderr)
	}
	return entries
}

func TestPush_MovesAnImageOnce(t *testing.T) {
	image := buildImage(t, "e2e/pushed:local", "pushed", 5)
	first := mustPush(t, image)[0]
	if first.Bytes < 5_000_000 || first.Uploaded == 0 {
		t.Errorf("the first push says %+v, want 5 MB or more moved", first)
	}
	if want := registry + "/" + image + "@" + first.Digest; first.Rewritten != want {
		t.Errorf("the image is in the registry as %s, want %s", first.Rewritten, want)
	}
	second := mustPush(t, image)[0]
	if second.Bytes != 0 || second.Uploaded != 0 || second.Digest != first.Digest {
		t.Errorf("the second push says %+v, want that nothing was moved", second)
	}
	if all := first.Bytes + first.PresentBytes; second.PresentBytes != all || second.Present != first.Uploaded+first.Present {
		t.Errorf("the second push found %d bytes in %d blobs, want all %d in %d", second.PresentBytes, second.Present, all, first.Uploaded+first.Present)
	}
}

func TestPush_KeepsTheOrderAndSaysWhichImageIsNotOnTheHost(t *testing.T) {
	images := []string{
		buildImage(t, "e2e/order-slow:local", "slow", 40), "e2e/not-there:local", buildImage(t, "e2e/order-fast:local", "fast"),
	}
	entries, stderr, err := push(t, images...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("setup push ended with %v, want exit status 1\n%s", err, stderr)
	}
	if len(entries) != len(images) {
		t.Fatalf("%d entries, want %d", len(entries), len(images))
	}
	for i, image := range images {
		entry, missing := entries[i], image == "e2e/not-there:local"
		if entry.Image != image || (entry.Rewritten == "") != missing {
			t.Errorf("entry %d is %+v, want one of %s", i, entry, image)
		}
		if missing && (entry.Reason != "NotOnHost" || !strings.Contains(entry.Error, "build it first")) {
			t.Errorf("the image that is not there has the reason %q and the error %q", entry.Reason, entry.Error)
		}
	}
	if !strings.Contains(stderr, "1 of 3 images are not in the registry") {
		t.Errorf("stderr is %q", stderr)
	}
}

func TestPush_MakesAPodStartWithoutAGate(t *testing.T) {
	image := buildImage(t, "e2e/warm:local", "warm", 5)
	want := mustPush(t, image)[0].Rewritten
	pod, _ := createPod(t, "warm", namespace, podSpec(image))
	if got := pod.Spec.Containers[0].Image; got != want {
		t.Errorf("the pod was created with %s, want %s", got, want)
	}
	if len(pod.Spec.SchedulingGates) != 0 {
		t.Errorf("the pod was created with the gates %v, want none", pod.Spec.SchedulingGates)
	}
	wantLogged(t, "warm", `"reason":"Rewritten"`, image)
}

func TestPush_OfAllLocalImagesLeavesOutWhatNoPodWants(t *testing.T) {
	image := buildImage(t, "e2e/all-local:local", "all")
	docker(t, "tag", image, registry+"/e2e/all-local:local")
	t.Cleanup(func() { removeImage(t, registry+"/e2e/all-local:local") })
	entries, stderr, err := push(t, "--all-local")
	if err != nil {
		t.Fatalf("setup push --all-local: %v\n%s", err, stderr)
	}
	var found bool
	for _, entry := range entries {
		found = found || entry.Image == image && entry.Rewritten != ""
		for _, unwanted := range []string{registry + "/", ours + "/", "kindest/node:", suite.nodeImage} {
			if strings.HasPrefix(entry.Image, unwanted) {
				t.Errorf("%s was pushed", entry.Image)
			}
		}
	}
	if !found {
		t.Errorf("%s is not among %+v", image, entries)
	}
	if !strings.Contains(stderr, "Found ") {
		t.Errorf("stderr does not say how many images were found: %q", stderr)
	}
}

func TestPush_SaysWhatToDoWithoutAPusher(t *testing.T) {
	image := buildImage(t, "e2e/no-pusher:local", "hello")
	docker(t, "stop", "-t", "2", "kind-registry-pusher")
	t.Cleanup(func() {
		if out, err := backgroundCommand("docker", "start", "kind-registry-pusher"); err != nil {
			t.Errorf("starting the pusher: %v\n%s", err, out)
		}
		eventuallyRewrites(t)
	})
	entries, stderr, err := push(t, image)
	if err == nil || len(entries) != 0 {
		t.Errorf("setup push says %+v, %v; want an error alone", entries, err)
	}
	if !strings.Contains(stderr, "container kind-registry-pusher is exited; run setup up") {
		t.Errorf("stderr is %q", stderr)
	}
}
