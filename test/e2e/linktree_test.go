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
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/test/testimage"
)

// TestLink_RootFileSystemEqualsThatOfAPull links each unusual image to one node and pulls it on the other, and compares the
// mounted root file systems in every field and byte.
func TestLink_RootFileSystemEqualsThatOfAPull(t *testing.T) {
	needLinker(t)
	program := helloFile(t)
	var references, kinds []string
	for _, kind := range slices.Sorted(maps.Keys(testimage.All())) {
		reference := fmt.Sprintf("equal/image-%d:local", len(references))
		loadShape(t, reference, append([][]testimage.File{{program}}, testimage.All()[kind]...))
		references, kinds = append(references, mustPush(t, reference)[0].Rewritten), append(kinds, kind)
	}
	begin := time.Now()
	linked := mountAll(t, worker, references)
	if log := linkerLog(t, begin); strings.Contains(log, "not linked") {
		t.Errorf("the linker left layers to be pulled:\n%s", log)
	}
	stopLinker(t)
	pulled := mountAll(t, controlPlane, references)
	for i, kind := range kinds {
		want, got := describeTree(t, pulled[i]), describeTree(t, linked[i])
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: a linked image differs (-pulled +linked):\n%s", kind, diff)
		}
	}
	t.Logf("%d images are equal", len(kinds))
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
	// Docker can still use the image.
	docker(t, "rm", "-f", docker(t, "create", "e2e/spoiled:local"))
	docker(t, "save", "-o", filepath.Join(files, "saved.tar"), "e2e/spoiled:local")
}

// mountAll makes the node pull the images, and mounts their root file systems. It returns the paths at which the host sees them.
func mountAll(t *testing.T, node string, references []string) (roots []string) {
	t.Helper()
	pid := docker(t, "inspect", "--format", "{{.State.Pid}}", node)
	script := "set -e; mkdir -p /run/equal; mount -t tmpfs equal /run/equal\n"
	for i, reference := range references {
		mount := fmt.Sprintf("/run/equal/%d", i)
		name := strings.Replace(reference, ":local@", "@", 1) // the name under which the kubelet's images are in containerd
		script += fmt.Sprintf("crictl pull %s >/dev/null; mkdir %s; ctr -n k8s.io images mount %s %s >/dev/null\n", reference, mount, name, mount)
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
		if time.Since(time.Unix(status.Mtim.Unix())) < time.Hour {
			status.Mtim = unix.Timespec{} // a directory that the layer does not list has the time when the layer was unpacked
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
