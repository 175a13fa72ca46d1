//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kind-local-registry/config"
)

// noSpacePod creates a pod while the registry's disk is full, and returns the pod's name. The webhook pushes the image of a volume before
// it answers, so the pod is admitted with the reason of the failed push.
func noSpacePod(t *testing.T, present string) string {
	t.Helper()
	const name = "why-nospace"
	fillRegistry(t, "e2e/"+name)
	createPod(t, name, namespace, mountingSpec(present, buildImage(t, "e2e/"+name+":local", "hello")))
	return name
}

// fillRegistry puts the uploads to one repository on a full disk until the test ends.
func fillRegistry(t *testing.T, repository string) {
	t.Helper()
	volume := docker(t, "volume", "inspect", "--format", "{{.Mountpoint}}", config.RegistryContainer)
	uploads := filepath.Join(volume, "docker/registry/v2/repositories", repository)
	if err := os.MkdirAll(uploads, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", uploads, "tmpfs", 0, "size=4k"); err != nil {
		t.Fatalf("mounting a disk on %s: %v", uploads, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(uploads, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", uploads, err)
		}
		if err := os.Remove(uploads); err != nil {
			t.Error(err)
		}
		restartRegistry(t)
	})
	restartRegistry(t)
}

// restartRegistry restarts the registry, which then sees what is mounted in its volume, and waits until pods are rewritten.
func restartRegistry(t *testing.T) {
	t.Helper()
	if out, err := backgroundCommand("docker", "restart", "-t", "1", config.RegistryContainer); err != nil {
		t.Errorf("restarting the registry: %v\n%s", err, out)
	}
	eventuallyRewrites(t)
}

// wrongPlatformPod creates a pod of an image for another operating system, and returns the pod's name. It returns "" if Docker has no
// containerd image store: Docker's own image store refuses such images.
func wrongPlatformPod(t *testing.T) string {
	t.Helper()
	const name = "why-wrongplatform"
	if status := docker(t, "info", "--format", "{{.DriverStatus}}"); !strings.Contains(status, "io.containerd.snapshotter.v1") {
		return ""
	}
	image := "e2e/" + name + ":local"
	load(t, image, noProgram(t, "windows/amd64", "for another machine"))
	createPod(t, name, namespace, podSpec(image))
	return name
}
