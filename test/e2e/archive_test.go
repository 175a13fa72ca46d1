//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kind-local-registry/internal/archive/archivetest"
)

// save builds an image, saves it to a file, and removes it from Docker.
func save(t *testing.T, image, greeting string, megabytes int) (file string) {
	t.Helper()
	buildImage(t, image, greeting, megabytes)
	file = filepath.Join(t.TempDir(), "saved.tar")
	docker(t, "save", "-o", file, image)
	docker(t, "rmi", "-f", image)
	return file
}

// pushArchive pushes an archive, through a pipe if piped is set, and returns the entries, stderr and the error.
func pushArchive(t *testing.T, file string, piped bool, args ...string) ([]pushEntry, string, error) {
	t.Helper()
	if !piped {
		return push(t, append([]string{"--archive", file}, args...)...)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `cat "$0" | "$@"`, file, suite.setup, "push", "-o", "json", "--archive", "-")
	cmd.Args = append(cmd.Args, args...)
	return pushEntries(t, cmd)
}

// TestArchive_IsPushedPulledAndRun pushes archives that the installed tools have made, and runs each of their images, which Docker does
// not have. With E2E_FULL, there are 30 archives by at least four tools.
func TestArchive_IsPushedPulledAndRun(t *testing.T) {
	made, tools := 0, map[string]bool{}
	compressions := []string{"", "gz", "zst"}
	for i, format := range archiveFormats() {
		if !format.available(t) {
			continue
		}
		for n := range count(1, len(compressions)) {
			runArchive(t, format, compressions[(i+n)%len(compressions)], made)
			made, tools[format.tool] = made+1, true
		}
	}
	t.Logf("%d archives by %d tools were pushed, pulled and run", made, len(tools))
	if count(0, 1) == 1 && (made < 30 || len(tools) < 4) {
		t.Errorf("%d archives by %d tools, want 30 by at least 4", made, len(tools))
	}
}

// runArchive makes an archive, pushes it, and runs its image.
func runArchive(t *testing.T, format archiveFormat, compression string, number int) {
	t.Helper()
	t.Run(strings.TrimSpace(format.tool+" "+format.format+" "+compression), func(t *testing.T) {
		image, pod := fmt.Sprintf("e2e/archive-%d:v1", number), fmt.Sprintf("archive-%d", number)
		greeting := fmt.Sprintf("hello from archive %d", number)
		file := compress(t, format.make(t, save(t, image, greeting, 1), image, t.TempDir()), compression)
		var named []string
		if !format.named {
			named = []string{"--tag", image}
		}
		entries, stderr, err := pushArchive(t, file, number%2 == 1, named...)
		if err != nil || len(entries) != 1 || entries[0].Image != image {
			t.Fatalf("setup push --archive: %v, entries %+v\n%s", err, entries, stderr)
		}
		created, _ := createPod(t, pod, namespace, podSpec(image))
		if got := created.Spec.Containers[0].Image; got != entries[0].Rewritten {
			t.Errorf("the pod's image = %s, want %s", got, entries[0].Rewritten)
		}
		awaitRunning(t, pod, time.Minute)
		if got := proxy(t, pod); !strings.HasPrefix(got, greeting) {
			t.Errorf("the pod answers %q, want %q first", got, greeting)
		}
	})
}

func TestArchive_YieldsToABuildAndStaysWhenPruned(t *testing.T) {
	const image = "e2e/archive-kept:v1"
	file := save(t, image, "from the archive", 1)
	pushed, stderr, err := pushArchive(t, file, false)
	if err != nil {
		t.Fatalf("setup push --archive: %v\n%s", err, stderr)
	}
	command(t, suite.setup, "prune", "--yes")
	if listed := listImages(t.Context(), t, "e2e/archive-kept"); len(listed) != 1 || !listed[0].InRegistry || !listed[0].Archive {
		t.Errorf("after setup prune, the registry has %+v, want the image from the archive", listed)
	}
	buildImage(t, image, "from the build")
	createPod(t, "archive-yields", namespace, podSpec(image))
	pod := awaitRunning(t, "archive-yields", time.Minute)
	if got := proxy(t, pod.Name); !strings.HasPrefix(got, "from the build") || strings.HasSuffix(pod.Spec.Containers[0].Image, pushed[0].Digest) {
		t.Errorf("the pod answers %q, want the build on the host", got)
	}
	_, stderr, err = pushArchive(t, file, false)
	if err == nil || !strings.Contains(stderr, "Docker has another image with the name "+image) {
		t.Errorf("setup push --archive: %v, %s; want a refusal, because pods run the host's image", err, stderr)
	}
	deletePod(t, "archive-yields", namespace)
	docker(t, "rmi", "-f", image)
	if _, stderr, err = pushArchive(t, file, true); err != nil {
		t.Fatalf("setup push --archive: %v\n%s", err, stderr)
	}
	eventually(t, 30*time.Second, "setup prune --archives removes the image", func(ctx context.Context) string { // it was just used
		return prunesArchive(ctx, t, "e2e/archive-kept", pushed[0].Digest)
	})
}

// prunesArchive runs setup prune --archives. It returns why the registry still has the image, or "".
func prunesArchive(ctx context.Context, t *testing.T, repository, digest string) string {
	t.Helper()
	if out, err := exec.CommandContext(ctx, suite.setup, "prune", "--yes", "--archives").CombinedOutput(); err != nil {
		return string(out)
	}
	for _, left := range listImages(ctx, t, repository) {
		if left.InRegistry && left.Digest.String() == digest {
			return fmt.Sprintf("the registry has %+v", left)
		}
	}
	return ""
}

// TestArchive_LeavesNothingWhenRefused pushes archives that are broken in different places. With E2E_FULL, there are 20.
func TestArchive_LeavesNothingWhenRefused(t *testing.T) {
	const image = "e2e/archive-broken:v1"
	whole, err := os.ReadFile(save(t, image, "broken", 2))
	if err != nil {
		t.Fatal(err)
	}
	layer := strings.Repeat("layer", 100_000)
	foreign, nameless := archivetest.New(t, image, layer), archivetest.New(t, "", layer)
	foreign.Architecture = "s390x"
	lacking := archivetest.Layout(t, archivetest.New(t, image, layer))
	broken := [][]byte{
		archivetest.Tar(t, archivetest.Docker(t, foreign)...), archivetest.Tar(t, archivetest.Layout(t, nameless)...),
		archivetest.Tar(t, slices.Delete(lacking, 2, 3)...), archivetest.Gzip(t, whole)[:1_000_000],
	}
	for i := len(broken); i < count(6, 20); i++ {
		at := len(whole) * i / 24
		if i%2 == 0 {
			broken = append(broken, whole[:at])
			continue
		}
		changed := bytes.Clone(whole)
		changed[at] ^= 0xff
		broken = append(broken, changed)
	}
	before := registryFiles(t.Context(), t)
	for i, content := range broken {
		file := filepath.Join(t.TempDir(), "broken.tar")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		entries, stderr, err := pushArchive(t, file, i%3 == 2)
		if err == nil || len(entries) > 0 {
			t.Errorf("archive %d was not refused: %+v", i, entries)
		}
		t.Logf("archive %d: %s", i, strings.TrimSpace(stderr))
		eventually(t, 5*time.Second, "the registry has nothing of the archive", func(ctx context.Context) string { // it notices when setup is gone
			left := slices.DeleteFunc(registryFiles(ctx, t), func(file string) bool { return slices.Contains(before, file) })
			return strings.Join(left, " ")
		})
	}
}

// registryFiles returns the files of blobs, tags and uploads in the registry.
func registryFiles(ctx context.Context, t *testing.T) []string {
	t.Helper()
	volume, err := exec.CommandContext(ctx, "docker", "volume", "inspect", "--format", "{{.Mountpoint}}", "kind-registry").Output()
	if err != nil {
		t.Fatalf("docker volume inspect: %v", err)
	}
	data := filepath.Join(strings.TrimSpace(string(volume)), "docker")
	find := exec.CommandContext(ctx, "find", data, "-ignore_readdir_race", "-type", "f", "-not", "-path", "*/_layers/*") // #nosec G204 -- ours
	files, err := find.Output()
	if err != nil {
		t.Fatalf("finding the registry's files: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(files)), "\n")
}
