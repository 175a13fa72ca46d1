//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/test/testimage"
)

// faultLabel is a label of the images of the fault tests.
const faultLabel = "e2e-link-fault"

const (
	faultLayers    = 3    // in each image, on top of the layer with the program
	filesPerLayer  = 1000 // in each of these layers
	filesOfEtc     = 20   // files of a layer below /etc, which the linker copies
	filesPerFolder = 50
)

// linkDelivery is the delivery of an image as hard links while a fault is injected.
type linkDelivery struct {
	name, image string
	policy      corev1.PullPolicy
	random      *rand.Rand
	current     v1.Image            // the image that has the tag
	contents    []map[string]string // the files of each image that has had the tag, by path
	chains      []string            // the chainIDs of the layers of all these images
	created     *corev1.Pod
}

// rebuilt makes another image.
func (d *linkDelivery) rebuilt(t *testing.T) {
	t.Helper()
	files, content := d.layers(len(d.contents))
	image, err := mutate.Config(runnable(t, append([][]testimage.File{{helloFile(t)}}, files...)), v1.Config{
		Entrypoint: []string{"/hello"}, Labels: map[string]string{faultLabel: d.name},
	})
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var diffIDs []digest.Digest
	for _, diffID := range config.RootFS.DiffIDs {
		diffIDs = append(diffIDs, digest.Digest(diffID.String()))
	}
	for _, chain := range identity.ChainIDs(diffIDs)[1:] { // many images have the program
		d.chains = append(d.chains, chain.String())
	}
	d.current, d.contents = image, append(d.contents, content)
}

// layers returns the layers of a build, and the files that a container sees. Each layer replaces one file of the layer below it
// and removes another.
func (d *linkDelivery) layers(build int) (layers [][]testimage.File, content map[string]string) {
	content = map[string]string{}
	for layer := range faultLayers {
		files := folders(layer)
		add := func(path, text string) {
			files, content[path] = append(files, testimage.Regular(path, text)), text
		}
		for i := range filesPerLayer {
			add(fmt.Sprintf("data/%d/%d/%d", layer, i/filesPerFolder, i), fmt.Sprintf("%s build %d layer %d file %d", d.name, build, layer, i))
		}
		for i := range filesOfEtc {
			add(fmt.Sprintf("etc/app/%d-%d", layer, i), fmt.Sprintf("%s build %d setting %d", d.name, build, i))
		}
		if layer > 0 {
			add(fmt.Sprintf("data/%d/0/0", layer-1), "replaced")
			files = append(files, testimage.Regular(fmt.Sprintf("data/%d/0/.wh.1", layer-1), ""))
			delete(content, fmt.Sprintf("data/%d/0/1", layer-1))
		}
		layers = append(layers, files)
	}
	return layers, content
}

// folders returns the directories of a layer. If a layer did not list its directories, the node would pull it.
func folders(layer int) []testimage.File {
	paths := []string{"data", fmt.Sprintf("data/%d", layer), "etc", "etc/app"}
	if layer > 0 {
		paths = append(paths, fmt.Sprintf("data/%d", layer-1), fmt.Sprintf("data/%d/0", layer-1))
	}
	for i := range filesPerLayer / filesPerFolder {
		paths = append(paths, fmt.Sprintf("data/%d/%d", layer, i))
	}
	var files []testimage.File
	for _, path := range paths {
		files = append(files, testimage.Directory(path))
	}
	return files
}

// load loads the image that has the tag into Docker.
func (d *linkDelivery) load(t *testing.T) {
	t.Helper()
	load(t, d.image, d.current)
}

// loadLater loads the image again after a while, as a user does whose pod does not run.
func (d *linkDelivery) loadLater(t *testing.T) {
	t.Helper()
	time.Sleep(time.Duration(d.random.Int64N(int64(6 * time.Second)))) // until after the push of a promised image, or before
	d.load(t)
}

// rebuild moves the tag to another image.
func (d *linkDelivery) rebuild(t *testing.T) {
	t.Helper()
	d.rebuilt(t)
	d.load(t)
}

// removeFromNodes removes all images of the delivery from the nodes.
func (d *linkDelivery) removeFromNodes(t *testing.T) {
	t.Helper()
	script := "all=$(ctr -n k8s.io images ls -q) && " +
		"for image in $(echo \"$all\" | grep '/" + strings.TrimSuffix(d.image, ":local") + `[:@]'); do crictl --timeout 30s rmi "$image" || exit; done`
	ctx, cancel := context.WithTimeout(context.Background(), recoveryTimeout) // this runs in a cleanup
	defer cancel()
	for _, node := range []string{worker, controlPlane} {
		problem := await(ctx, func(ctx context.Context) string { // containerd may still be starting
			if out, err := exec.CommandContext(ctx, "docker", "exec", node, "sh", "-c", script).CombinedOutput(); err != nil {
				return fmt.Sprintf("%v: %s", err, out)
			}
			return ""
		})
		if problem != "" {
			t.Logf("removing %s from %s: %s", d.image, node, problem) // wantNoRemnants finds what is left
		}
	}
}

// containerFiles returns the files of the image of the delivery that the pod's container has, by path.
func containerFiles(ctx context.Context, pod *corev1.Pod) (map[string]string, error) {
	pid, err := exec.CommandContext(ctx, "docker", "inspect", "--format", "{{.State.Pid}}", pod.Spec.NodeName).Output()
	if err != nil {
		return nil, fmt.Errorf("inspecting node %s: %w", pod.Spec.NodeName, err)
	}
	id := strings.TrimPrefix(pod.Status.ContainerStatuses[0].ContainerID, "containerd://")
	root := fmt.Sprintf("/proc/%s/root/run/containerd/io.containerd.runtime.v2.task/k8s.io/%s/rootfs", strings.TrimSpace(string(pid)), id)
	found := map[string]string{}
	for _, top := range []string{"data", "etc/app"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			found[strings.TrimPrefix(path, root+"/")] = string(content)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// wantNoRemnants ends the leases of the linker and of pulls, and makes the nodes collect garbage. If containerd is killed during a
// pull, it keeps the lease of the pull, and so the layers, for 24 hours. wantNoRemnants fails the test unless the nodes then have none of
// the layers, no incomplete snapshot, and no directory of a snapshot that containerd does not know, and no test file is left.
func wantNoRemnants(t *testing.T, chains []string) {
	t.Helper()
	root := docker(t, "info", "--format", "{{.DockerRootDir}}")
	for _, node := range []string{worker, controlPlane} {
		eventually(t, 3*time.Minute, "nothing is left on "+node, func(ctx context.Context) string { return remnants(ctx, node, chains) })
	}
	if left, err := filepath.Glob(filepath.Join(root, "overlay2", ".kind-local-registry-*")); err != nil || len(left) > 0 {
		t.Errorf("test files below Docker's root = %q, %v, want none", left, err)
	}
}

// remnants returns what the linker has left on a node.
func remnants(ctx context.Context, node string, chains []string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute) // so that the last attempt has a result
	defer cancel()
	const script = `set -e
		for lease in $(ctr -n k8s.io leases ls -q | grep -E '^(kind-local-registry|[0-9]+)-'); do ctr -n k8s.io leases rm --sync "$lease"; done
		` + collectGarbage + `
		ctr -n k8s.io snapshots ls | tail -n +2 | cut -d' ' -f1
		echo directories
		ls -A /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots`
	out, err := exec.CommandContext(ctx, "docker", "exec", node, "sh", "-c", script).Output()
	if err != nil {
		return fmt.Sprintf("reading the snapshots: %v", err)
	}
	known, directories, _ := strings.Cut(string(out), "directories\n")
	snapshots, present := strings.Fields(known), strings.Fields(directories)
	left := slices.DeleteFunc(slices.Clone(snapshots), func(key string) bool {
		return !strings.HasPrefix(key, "kind-local-registry-") && !slices.Contains(chains, key)
	})
	strange := slices.DeleteFunc(slices.Clone(present), func(name string) bool { return strings.Trim(name, "0123456789") == "" })
	if len(left) > 0 || len(strange) > 0 || len(present) != len(snapshots) {
		holders, _ := exec.CommandContext(ctx, "docker", "exec", node, "sh", "-c",
			"ctr -n k8s.io leases ls; ctr -n k8s.io images ls -q; crictl ps -a").CombinedOutput() // only for the message
		return fmt.Sprintf("snapshots %q, unexpected files %q, %d directories of %d snapshots; leases, images and containers:\n%s",
			left, strange, len(present), len(snapshots), holders)
	}
	return ""
}

// dockerFile returns the path of a file in the topmost of Docker's layers of the image that has it.
func dockerFile(t *testing.T, image, file string) string {
	t.Helper()
	layers := docker(t, "image", "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}", image)
	for _, layer := range strings.Split(layers, ":") {
		if _, err := os.Stat(filepath.Join(layer, file)); err == nil {
			return filepath.Join(layer, file)
		}
	}
	t.Fatalf("none of the layers %s has %s", layers, file)
	return ""
}

// spoil changes a file of a layer below Docker's root, and nothing that Docker could notice before it reads the file.
func (d *linkDelivery) spoil(t *testing.T) {
	t.Helper()
	paths := slices.Sorted(maps.Keys(d.contents[0]))
	path := paths[d.random.IntN(len(paths))]
	file, err := os.OpenFile(dockerFile(t, d.image, path), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("X"), 0); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
