package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"kind-local-registry/config"
	"kind-local-registry/internal/pusher"
)

const (
	cluster      = "bench"
	worker       = "bench-worker"
	controlPlane = "bench-control-plane"
)

// nodes returns the cluster's nodes.
func nodes() []string { return []string{worker, controlPlane} }

// registryHost returns the registry's host as it appears in references.
func registryHost() string { return config.RegistryHost(config.RegistryPort) }

// host runs commands on the machine that is measured, and on its Docker daemon, cluster and registry.
type host struct {
	options

	registryData string   // path of the registry's volume on the host
	layers       []string // chain IDs of the lowest layers in the case's images
	link         string   // the current value of setup up's --link
	pusher       *pusher.Client
	containerd   map[string]string // addresses of the nodes' containerd sockets
}

// command runs a command and returns its stdout.
func (h *host) command(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) // #nosec G204 -- a benchmark of commands
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// inNode runs a shell script in a node.
func (h *host) inNode(ctx context.Context, node, script string) (string, error) {
	return h.command(ctx, "", "docker", "exec", node, "sh", "-ec", script)
}

// up creates the cluster, the registry and the pusher if they are missing, and records which images the nodes have.
func (h *host) up(ctx context.Context) error {
	if err := h.install(ctx); err != nil {
		return err
	}
	for _, node := range nodes() {
		if _, err := h.inNode(ctx, node, "ctr -n k8s.io images ls -q | sort >/bench-names; crictl images -q | sort -u >/bench-ids"); err != nil {
			return err
		}
	}
	return nil
}

// install runs setup up, and connects to what it created.
func (h *host) install(ctx context.Context) error {
	_, err := h.command(ctx, "", h.setup, "up", "--cluster", cluster, "--config", "examples/kind.yaml", "--rules", "hack/bench/rules.yaml",
		"--node-image", h.nodeImage, "--kubeconfig", h.kubeconfig(), "--link", h.link)
	if err != nil {
		return err
	}
	h.containerd = map[string]string{}
	for _, node := range nodes() {
		pid, err := h.pid(ctx, node)
		if err != nil {
			return err
		}
		h.containerd[node] = "unix:///proc/" + pid + "/root/run/containerd/containerd.sock"
	}
	return h.connect(ctx)
}

func (h *host) down(ctx context.Context, args ...string) error {
	_, err := h.command(ctx, "", h.setup, append([]string{"down", "--yes", "--cluster", cluster, "--kubeconfig", h.kubeconfig()}, args...)...)
	return err
}

func (h *host) kubeconfig() string { return filepath.Join(h.work, "kubeconfig") }

// collectGarbage is a shell command that makes a node's containerd remove everything that is no longer used.
const collectGarbage = `ctr -n k8s.io leases create --id bench; ctr -n k8s.io leases rm --sync bench`

// clear removes all images that were added to a node since up, and waits until their layers are gone. It uses crictl to remove
// the images that the kubelet knows, and ctr to remove the images that only kind load has added. It also removes the leases that
// keep linked layers. It retries, because the kubelet may be removing the same pod.
func (h *host) clear(ctx context.Context, node string) error {
	const script = `
set +e
exec 2>/dev/null
for try in $(seq 100); do
  for pod in $(crictl pods --quiet --name '^bench-pod$'); do crictl --timeout 5m rmp --force "$pod"; done
  crictl images -q | sort -u | comm -13 /bench-ids - | xargs -r crictl --timeout 5m rmi
  ctr -n k8s.io images ls -q | sort | comm -13 /bench-names - | xargs -r ctr -n k8s.io images rm --sync
  ctr -n k8s.io leases ls -q | grep '^kind-local-registry-' | xargs -r ctr -n k8s.io leases rm
  ` + collectGarbage + `
  left=$(ctr -n k8s.io snapshots ls && ctr -n k8s.io content ls -q) && case $left in *%s*) ;; *) exit 0 ;; esac
  sleep 0.3
done
echo "the layers still exist; these may be using them:"
crictl ps -a; crictl images; ctr -n k8s.io leases ls
exit 1`
	for _, layer := range h.layers { // the lowest layer's chain ID is also its diffID and its uncompressed digest
		if _, err := h.inNode(ctx, node, fmt.Sprintf(script, layer)); err != nil {
			return fmt.Errorf("clearing %s: %w", node, err)
		}
	}
	return nil
}

// forget removes a method's images from the registry.
func (h *host) forget(m method) error {
	if m.repositories == "" {
		return nil
	}
	store := filepath.Join(h.registryData, "docker/registry/v2")
	repositories := filepath.Join(store, "repositories", m.repositories)
	for _, links := range []string{"*/_layers/sha256/*", "*/_manifests/revisions/sha256/*"} {
		found, err := filepath.Glob(filepath.Join(repositories, links))
		if err != nil {
			return err
		}
		for _, link := range found {
			hex := filepath.Base(link)
			if err := os.RemoveAll(filepath.Join(store, "blobs/sha256", hex[:2], hex)); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(repositories)
}

// podManifest is a format string for a pod's manifest. Its arguments are the value of the rewrite annotation and the image.
const podManifest = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bench-pod", "namespace": "default",
"annotations": {"` + config.RewriteAnnotation + `": "%t"}}, "spec": {"terminationGracePeriodSeconds": 0, "nodeSelector":
{"kubernetes.io/hostname": "` + worker + `"}, "containers": [{"name": "bench", "image": "%s"}]}}`

// runPod creates a pod with an image and waits until the pod runs. The webhook rewrites the image only if rewrite is true.
func (h *host) runPod(ctx context.Context, image string, rewrite bool) error {
	if _, err := h.kubectl(ctx, fmt.Sprintf(podManifest, rewrite, image), "apply", "-f", "-"); err != nil {
		return err
	}
	_, err := h.kubectl(ctx, "", "wait", "--for=jsonpath={.status.phase}=Running", "pod/bench-pod", "--timeout=600s")
	return err
}

func (h *host) removePod(ctx context.Context) error {
	_, err := h.kubectl(ctx, "", "delete", "pod", "bench-pod", "--ignore-not-found", "--wait")
	return err
}

func (h *host) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	return h.command(ctx, stdin, "kubectl", append([]string{"--kubeconfig", h.kubeconfig()}, args...)...)
}

// settle waits until all pending writes are on disk, and then pauses, so that earlier work does not slow down the next
// measurement.
func (h *host) settle(ctx context.Context, pause time.Duration) error {
	_, err := h.command(ctx, "", "sync")
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// pid returns the process ID of a container's first process.
func (h *host) pid(ctx context.Context, container string) (string, error) {
	return h.command(ctx, "", "docker", "container", "inspect", "--format", "{{.State.Pid}}", container)
}

// mount returns the host path of what is mounted at a container's directory.
func (h *host) mount(ctx context.Context, container, directory string) (string, error) {
	source := fmt.Sprintf(`{{range .Mounts}}{{if eq .Destination %q}}{{.Source}}{{end}}{{end}}`, directory)
	return h.command(ctx, "", "docker", "container", "inspect", "--format", source, container)
}

// layerDirectories returns the directories in which Docker stores an image's layers, topmost layer first.
func (h *host) layerDirectories(ctx context.Context, image string) ([]string, error) {
	const directories = "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}"
	out, err := h.command(ctx, "", "docker", "image", "inspect", "--format", directories, image)
	return strings.Split(strings.TrimSuffix(out, ":<no value>"), ":"), err
}

// warm reads the images' files into the page cache, because the files of a newly built image are there too. The methods' images
// share layers, which one method may have dropped from the page cache.
func (h *host) warm(ctx context.Context, images []string) error {
	for _, image := range images {
		directories, err := h.layerDirectories(ctx, image)
		if err != nil {
			return err
		}
		for _, directory := range directories {
			if _, err := h.command(ctx, "", "sh", "-c", "find "+directory+" -type f -exec cat {} + >/dev/null"); err != nil {
				return err
			}
		}
	}
	return nil
}

// containers returns the containers whose memory is measured.
func (h *host) containers() []string {
	names := []string{config.PusherContainer, config.RegistryContainer}
	if h.link == linkAuto {
		names = append(names, config.LinkerContainer)
	}
	return names
}

// resetPeaks resets the peak memory of the containers (proc(5), clear_refs).
func (h *host) resetPeaks(ctx context.Context) error {
	for _, container := range h.containers() {
		pid, err := h.pid(ctx, container)
		if err != nil {
			return err
		}
		if err := os.WriteFile("/proc/"+pid+"/clear_refs", []byte("5"), 0o200); err != nil {
			return err
		}
	}
	return nil
}

// peak returns the peak resident set of a container's first process in MiB (proc(5), VmHWM).
func (h *host) peak(ctx context.Context, container string) (float64, error) {
	pid, err := h.pid(ctx, container)
	if err != nil {
		return 0, err
	}
	status, err := os.ReadFile(filepath.Join("/proc", pid, "status")) // #nosec G304 -- a process ID from Docker
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("reading /proc/%s/status: no VmHWM", pid)
	}
	kibibytes, err := strconv.ParseFloat(string(found[1]), 64)
	return kibibytes / 1024, err
}
