//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/test/testimage"
)

// TestLink_RootFileSystemEqualsThatOfAPull links each unusual image to one node and pulls it on the other, and compares the
// mounted root file systems in every field and byte.
func TestLink_RootFileSystemEqualsThatOfAPull(t *testing.T) {
	needLinker(t)
	program := helloFile(t)
	unusual := map[string]string{} // kinds by reference
	for kind, files := range testimage.All() {
		reference := fmt.Sprintf("equal/image-%d:local", len(unusual))
		loadShape(t, reference, append([][]testimage.File{{program}}, files...))
		unusual[reference] = kind
	}
	for kind, reference := range builtImages(t) {
		unusual[reference] = kind
	}
	kinds := map[string]string{} // by the image's reference in the registry
	for _, pushed := range mustPush(t, slices.Collect(maps.Keys(unusual))...) {
		kinds[pushed.Rewritten] = unusual[pushed.Image]
	}
	references := slices.Sorted(maps.Keys(kinds))
	begin := time.Now()
	linked := mountAll(t, worker, references)
	// Of "private directories that a layer implies", one layer is left to a pull.
	log := linkerLog(t, begin)
	if strings.Count(log, "not linked") != 1 || !strings.Contains(log, "possibly the layer does not list this directory") {
		t.Errorf("the linker left other layers to be pulled than the one that implies a directory:\n%s", log)
	}
	stopLinker(t)
	pulled := mountAll(t, controlPlane, references)
	for i, reference := range references {
		want, got := describeTree(t, pulled[i]), describeTree(t, linked[i])
		if kinds[reference] == byBuildKit {
			want, got = inTar(want), inTar(got)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: a linked image differs (-pulled +linked):\n%s", kinds[reference], diff)
		}
	}
	t.Logf("%d images are equal", len(kinds))
}

// TestLink_GivesANode127LayersOfAnother has an image with the most layers that containerd can mount. Docker's own store can hold only
// 125, so one node pulls the image from the registry, and the other gets that node's layers.
func TestLink_GivesANode127LayersOfAnother(t *testing.T) {
	needLinker(t)
	const image = registry + "/e2e/many-layers:local"
	reference, err := name.ParseReference(image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, helloImage(t, 127), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	pulled := describeTree(t, mountAll(t, worker, []string{image})[0])
	begin := time.Now()
	linked := describeTree(t, mountAll(t, controlPlane, []string{image})[0])
	wantLinked(t, begin, controlPlane)
	if diff := cmp.Diff(pulled, linked); diff != "" {
		t.Errorf("a linked image differs (-pulled +linked):\n%s", diff)
	}
}

// TestLink_PodCannotChangeDockersFiles runs a pod that changes each of its files in every way that a system call can.
func TestLink_PodCannotChangeDockersFiles(t *testing.T) {
	needLinker(t)
	image := buildProgram(t, "spoil")
	files := t.TempDir()
	dockerfile := "FROM " + image + "\n"
	for _, directory := range []string{"etc", "usr/share", "data"} {
		if err := os.MkdirAll(filepath.Join(files, directory), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			writeRandom(t, filepath.Join(files, directory, fmt.Sprintf("file%d", i)), i%2)
		}
	}
	dockerfile += "COPY etc /etc\nCOPY usr /usr\nCOPY data /data\n"
	if err := os.WriteFile(filepath.Join(files, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_BUILDKIT", "0")
	id := docker(t, "build", "-q", "-t", "e2e/spoiled:local", files)
	t.Cleanup(func() { removeImage(t, id) })
	before := describeLayers(t, "e2e/spoiled:local")

	begin := time.Now()
	createPod(t, "spoiled", namespace, onNode(worker, "e2e/spoiled:local"))
	awaitRunning(t, "spoiled", time.Minute)
	wantLinked(t, begin, worker)
	eventually(t, time.Minute, "the pod has changed its files", func(ctx context.Context) string {
		log, err := suite.kube.CoreV1().Pods(namespace).GetLogs("spoiled", &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil || !strings.Contains(string(log), "changed ") {
			return fmt.Sprintf("log %q, error %v", log, err)
		}
		return ""
	})
	if diff := cmp.Diff(before, describeLayers(t, "e2e/spoiled:local")); diff != "" {
		t.Errorf("Docker's layers have changed (-before +after):\n%s", diff)
	}
	useInDocker(t, "e2e/spoiled:local", id, files)
	if diff := cmp.Diff(before, describeLayers(t, "e2e/spoiled:local")); diff != "" {
		t.Errorf("Docker's layers have changed after use in Docker (-before +after):\n%s", diff)
	}
}

// useInDocker uses the image in Docker in every way that reads its layers. directory is the context from which the image was built.
func useInDocker(t *testing.T, reference, id, directory string) {
	t.Helper()
	container := docker(t, "run", "--detach", reference)
	t.Cleanup(func() { _, _ = backgroundCommand("docker", "rm", "-f", container) })
	eventually(t, time.Minute, "the container has changed its files", func(ctx context.Context) string {
		log, err := exec.CommandContext(ctx, "docker", "logs", container).CombinedOutput()
		if err != nil || !strings.Contains(string(log), "changed ") {
			return fmt.Sprintf("log %q, error %v", log, err)
		}
		return ""
	})
	saved := filepath.Join(t.TempDir(), "saved.tar")
	docker(t, "save", "-o", saved, reference) // Docker compares each layer with its digest
	if got := docker(t, "load", "-q", "-i", saved); !strings.Contains(got, reference) {
		t.Errorf("docker load prints %q, want %s", got, reference)
	}
	if got := docker(t, "build", "-q", "--cache-from", reference, directory); got != id {
		t.Errorf("docker build --cache-from %s = %s, want the cached image %s", reference, got, id)
	}
	if err := os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte("FROM "+reference+"\nCOPY etc/file0 /new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	above := docker(t, "build", "-q", directory)
	t.Cleanup(func() { removeImage(t, above) })
	docker(t, "rm", docker(t, "create", above))
}

// mountAll makes the node pull the images, and mounts their root file systems. It returns the paths at which the host sees them.
func mountAll(t *testing.T, node string, references []string) (roots []string) {
	t.Helper()
	pid := docker(t, "inspect", "--format", "{{.State.Pid}}", node)
	script := "set -e; mkdir -p /run/equal; mount -t tmpfs equal /run/equal\n"
	for i, reference := range references {
		mount := fmt.Sprintf("/run/equal/%d", i)
		pulled := strings.Replace(reference, ":local@", "@", 1) // the name under which the kubelet's images are in containerd
		script += fmt.Sprintf("crictl pull %s >/dev/null; mkdir %s; ctr -n k8s.io images mount %s %s >/dev/null\n", reference, mount, pulled, mount)
		roots = append(roots, "/proc/"+pid+"/root"+mount)
	}
	t.Cleanup(func() {
		undo := "for mount in /run/equal/*; do ctr -n k8s.io images unmount --rm $mount; done; umount /run/equal"
		if out, err := backgroundCommand("docker", "exec", node, "sh", "-c", undo); err != nil {
			t.Errorf("unmounting on %s: %v\n%s", node, err, out)
		}
	})
	docker(t, "exec", node, "sh", "-c", script)
	return roots
}

// describeLayers describes the files of all of Docker's layers of the image, by path.
func describeLayers(t *testing.T, reference string) map[string]string {
	t.Helper()
	all := map[string]string{}
	directories := docker(t, "image", "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}", reference)
	for _, directory := range strings.Split(directories, ":") {
		for path, description := range describeTree(t, directory) {
			all[filepath.Join(directory, path)] = description
		}
	}
	return all
}

// describeTree describes every file below a directory: type, mode, owner, size, device, time, extended attributes and content.
// Files with the same inode are described as hard links to the first.
func describeTree(t *testing.T, root string) map[string]string {
	t.Helper()
	all, first := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		var status unix.Stat_t
		if err := unix.Lstat(path, &status); err != nil {
			return err
		}
		// The root directory, and a directory that the layer does not list, have the time when the layer was unpacked.
		if name == "" || time.Since(time.Unix(status.Mtim.Unix())) < time.Hour {
			status.Mtim = unix.Timespec{}
		}
		all[name] = fmt.Sprintf("mode %o owner %d:%d rdev %d time %d.%09d xattrs %q", status.Mode, status.Uid, status.Gid, status.Rdev,
			status.Mtim.Sec, status.Mtim.Nsec, extendedAttributes(t, path))
		switch status.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			all[name] += " to " + target
			return err
		case unix.S_IFREG:
			if before, linked := first[status.Ino]; linked {
				all[name] += " hard link of " + before
				return nil
			}
			first[status.Ino] = name
			content, err := os.ReadFile(path)
			sum := sha256.Sum256(content)
			all[name] += fmt.Sprintf(" size %d content %s", status.Size, hex.EncodeToString(sum[:]))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatalf("reading %s: %v", root, err)
	}
	return all
}

// extendedAttributes returns the names and values of a file's extended attributes.
func extendedAttributes(t *testing.T, path string) map[string]string {
	t.Helper()
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		t.Fatalf("listing the extended attributes of %s: %v", path, err)
	}
	found := map[string]string{}
	for _, name := range strings.Split(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			t.Fatalf("reading extended attribute %s of %s: %v", name, path, err)
		}
		found[name] = string(value[:n])
	}
	return found
}
