//go:build daemon

package daemon

import (
	"archive/tar"
	"bytes"
	"context"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"testing"

	"kind-local-registry/config"
	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/step"
)

const (
	convergeCluster = "converge"
	nodeImage       = "kindest/node:converge"
	// docker exec exits with notStarted if it cannot start the command, which happens now and then on a busy machine. docker therefore
	// starts it up to maxStarts times, as setup does.
	notStarted = 126
	maxStarts  = 4
)

// nodePrograms are fakes of the programs that need systemd or a cluster. All other programs on a node are this machine's own, among
// them containerd.
var nodePrograms = files{
	"/fake/systemctl": "#!/bin/sh\necho \"$@\" >>/tmp/systemctl\n",
	"/fake/kubelet":   "#!/bin/sh\necho Kubernetes v1.37.2\n",
	"/fake/curl":      "#!/bin/sh\n",
}

// files are the contents of files, keyed by path.
type files map[string]string

// options are setup's options.
type options = host.Options

// convergeHost is a daemon with a registry and the nodes of a kind cluster. A node is a plain container.
type convergeHost struct{ *setupHost }

// system opens the daemon as setup does, with changed options if change is not nil.
func (h *convergeHost) system(t *testing.T, change func(*options)) *host.System {
	t.Helper()
	chosen := options{Cluster: convergeCluster, RegistryPort: h.port}
	if change != nil {
		change(&chosen)
	}
	system, err := host.Open(t.Context(), chosen)
	if err != nil {
		t.Fatal(err)
	}
	return system
}

// named returns the step with that name.
func named(t *testing.T, steps []step.Step, name string) step.Step {
	t.Helper()
	for _, one := range steps {
		if one.Name == name {
			return one
		}
	}
	t.Fatalf("no step %s", name)
	return step.Step{}
}

// both returns the steps for the registry and the nodes.
func (h *convergeHost) both(t *testing.T) []step.Step {
	t.Helper()
	all := h.system(t, nil).Steps()
	return []step.Step{named(t, all, "registry"), named(t, all, "nodes")}
}

// up starts our registry.
func (h *convergeHost) up(t *testing.T) { t.Helper(); h.apply(t, h.both(t)[:1]) }

// upNodes configures the nodes.
func (h *convergeHost) upNodes(t *testing.T) { t.Helper(); h.apply(t, h.both(t)[1:]) }

// upAll applies both steps, and reports whether they changed anything.
func (h *convergeHost) upAll(t *testing.T) bool {
	t.Helper()
	if err := h.system(t, nil).Preflight(t.Context()); err != nil {
		t.Fatalf("Preflight: %v", err)
	}
	return h.apply(t, h.both(t))
}

// apply applies steps, and reports whether they changed anything.
func (h *convergeHost) apply(t *testing.T, steps []step.Step) bool {
	t.Helper()
	changed, err := step.Up(t.Context(), steps, silent{})
	if err != nil {
		t.Fatalf("setup up: %v", err)
	}
	return changed
}

// docker runs the docker command and returns its output.
func (h *convergeHost) docker(t *testing.T, args ...string) string {
	t.Helper()
	for start := 1; ; start++ {
		command := exec.CommandContext(t.Context(), "docker", append([]string{"--host", h.Host}, args...)...)
		out, err := command.CombinedOutput()
		if err == nil {
			return strings.TrimSpace(string(out))
		}
		if args[0] != "exec" || command.ProcessState.ExitCode() != notStarted || start == maxStarts {
			t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// remove removes all containers and volumes.
func (h *convergeHost) remove() {
	script := `docker ps -aq | xargs -r docker rm -f -v; docker volume ls -q | xargs -r docker volume rm`
	command := exec.CommandContext(context.Background(), "sh", "-c", script)
	command.Env = append(command.Environ(), "DOCKER_HOST="+h.Host)
	_ = command.Run()
}

// reset removes all containers and volumes, and fails the test if any are left.
func (h *convergeHost) reset(t *testing.T) {
	t.Helper()
	h.remove()
	if containers, volumes := h.docker(t, "ps", "-aq"), h.docker(t, "volume", "ls", "-q"); containers+volumes != "" {
		t.Fatalf("left from the last test: containers %q, volumes %q", containers, volumes)
	}
}

// registryImage returns the image that setup carries.
func (h *convergeHost) registryImage() string { return config.RegistryImage + ":" + config.Version }

// registryID returns the ID of the registry's container, or "" if there is none.
func (h *convergeHost) registryID() string {
	inspect := []string{"--host", h.Host, "inspect", "--format", "{{.Id}}", config.RegistryContainer}
	out, err := exec.CommandContext(context.Background(), "docker", inspect...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// runForeign runs a registry as the script in kind's documentation does.
func (h *convergeHost) runForeign(t *testing.T, network string, port int) {
	t.Helper()
	h.docker(t, "run", "-d", "--restart=always", "-p", "127.0.0.1:"+strconv.Itoa(port)+":5000", "--network", network,
		"-v", "/var/lib/registry", "--name", config.RegistryContainer, h.registryImage())
}

// importNodeImage imports an image whose root file system is completed by this machine's /usr.
func (h *convergeHost) importNodeImage(t *testing.T) {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: "usr/" + name, Mode: 0o777}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tmp/", "usr/", "etc/", "var/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range nodePrograms {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	args := []string{"--host", h.Host, "import", "--change", "ENV PATH=/fake:/usr/sbin:/usr/bin", "-", nodeImage}
	load := exec.CommandContext(t.Context(), "docker", args...)
	load.Stdin = &archive
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("importing the node image: %v\n%s", err, out)
	}
}

// runNode runs a node of the cluster that has the files.
func (h *convergeHost) runNode(t *testing.T, name string, content files) {
	t.Helper()
	h.docker(t, "run", "-d", "--name", name, "--network", config.Network, "-v", "/usr:/usr:ro",
		"--label", "io.x-k8s.kind.cluster="+convergeCluster, "--label", "io.x-k8s.kind.role=worker", nodeImage, "sleep", "infinity")
	for file, text := range content {
		h.docker(t, "exec", name, "sh", "-ec", `mkdir -p "$1"; printf %s "$3" >"$2"`, "sh", path.Dir(file), file, text)
	}
}

// files returns the files in the node's /etc/containerd, /etc/docker and /var/lib/kubelet.
func (h *convergeHost) files(t *testing.T, name string) files {
	t.Helper()
	script := `find /etc/containerd /etc/docker /var/lib/kubelet -type f 2>/dev/null |
		while read -r file; do printf '%s\000' "$file"; cat "$file"; printf '\000'; done`
	found := files{}
	fields := strings.Split(h.docker(t, "exec", name, "sh", "-c", script), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		found[fields[i]] = fields[i+1]
	}
	return found
}
