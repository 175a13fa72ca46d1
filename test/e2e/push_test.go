//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"kind-local-registry/internal/host/report"
)

// pushEntry is an entry in the output of setup push -o json. It describes one image.
type pushEntry = report.Push

// push runs setup push -o json and returns the entries, stderr and the error.
func push(t *testing.T, args ...string) ([]pushEntry, string, error) {
	t.Helper()
	return pushEntries(t, exec.CommandContext(t.Context(), suite.setup, append([]string{"push", "-o", "json"}, args...)...))
}

// pushEntries runs a command that ends with setup push -o json, and returns the entries, stderr and the error.
func pushEntries(t *testing.T, cmd *exec.Cmd) ([]pushEntry, string, error) {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var entries []pushEntry
	if len(out) > 0 {
		if err := json.Unmarshal(out, &entries); err != nil {
			t.Fatalf("parsing the output of setup push -o json: %v\n%s", err, out)
		}
	}
	return entries, stderr.String(), err
}

// mustPush pushes images and fails the test unless all of them are then present in the registry.
func mustPush(t *testing.T, images ...string) []pushEntry {
	t.Helper()
	entries, stderr, err := push(t, images...)
	if err != nil || len(entries) != len(images) {
		t.Fatalf("setup push %s: %v, %d entries\n%s", strings.Join(images, " "), err, len(entries), stderr)
	}
	return entries
}

func TestPush_UploadsAnImageOnce(t *testing.T) {
	image := buildImage(t, "e2e/pushed:local", "pushed", 5)
	first := mustPush(t, image)[0]
	if first.Bytes < 5_000_000 || first.Uploaded == 0 {
		t.Errorf("first push = %+v, want at least 5 MB uploaded", first)
	}
	if want := registry + "/" + image + "@" + first.Digest; first.Rewritten != want {
		t.Errorf("rewritten image = %s, want %s", first.Rewritten, want)
	}
	second := mustPush(t, image)[0]
	if second.Bytes != 0 || second.Uploaded != 0 || second.Digest != first.Digest {
		t.Errorf("second push = %+v, want nothing uploaded", second)
	}
	if all := first.Bytes + first.PresentBytes; second.PresentBytes != all || second.Present != first.Uploaded+first.Present {
		t.Errorf("second push found %d bytes in %d blobs present, want %d in %d", second.PresentBytes, second.Present, all, first.Uploaded+first.Present)
	}
}

func TestPush_KeepsTheOrderAndReportsAMissingImage(t *testing.T) {
	images := []string{
		buildImage(t, "e2e/order-slow:local", "slow", 40), "e2e/missing:local", buildImage(t, "e2e/order-fast:local", "fast"),
	}
	entries, stderr, err := push(t, images...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("setup push = %v, want exit status 1\n%s", err, stderr)
	}
	if len(entries) != len(images) {
		t.Fatalf("%d entries, want %d", len(entries), len(images))
	}
	for i, image := range images {
		entry, missing := entries[i], image == "e2e/missing:local"
		if entry.Image != image || (entry.Rewritten == "") != missing {
			t.Errorf("entry %d = %+v, want an entry for %s", i, entry, image)
		}
		if missing && (entry.Reason != "NotOnHost" || !strings.Contains(entry.Error, "build it first")) {
			t.Errorf("missing image: reason = %q, error = %q, want NotOnHost and \"build it first\"", entry.Reason, entry.Error)
		}
	}
	if !strings.Contains(stderr, "1 of 3 images are not in the registry") {
		t.Errorf("stderr = %q, want \"1 of 3 images are not in the registry\"", stderr)
	}
}

func TestPush_LeavesTheNextPodUngated(t *testing.T) {
	image := buildImage(t, "e2e/warm:local", "warm", 5)
	want := mustPush(t, image)[0].Rewritten
	pod, _ := createPod(t, "warm", namespace, podSpec(image))
	if got := pod.Spec.Containers[0].Image; got != want {
		t.Errorf("image of the created pod = %s, want %s", got, want)
	}
	if len(pod.Spec.SchedulingGates) != 0 {
		t.Errorf("gates of the created pod = %v, want none", pod.Spec.SchedulingGates)
	}
	wantLogged(t, "warm", `"reason":"Rewritten"`, image)
}

func TestPush_AllLocalSkipsImagesThatNoPodNeeds(t *testing.T) {
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
				t.Errorf("%s was pushed, want it skipped", entry.Image)
			}
		}
	}
	if !found {
		t.Errorf("entries do not include %s: %+v", image, entries)
	}
	if !strings.Contains(stderr, "Found ") {
		t.Errorf("stderr = %q, want the number of images found", stderr)
	}
}

func TestPush_AdvisesSetupUpWithoutAPusher(t *testing.T) {
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
		t.Errorf("setup push = %+v, %v, want no entry and an error", entries, err)
	}
	if !strings.Contains(stderr, "container kind-registry-pusher is exited; run setup up") {
		t.Errorf("stderr = %q, want the advice to run setup up", stderr)
	}
}
