//go:build e2e

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// configDirectory contains kind configurations like those of public projects.
const configDirectory = "../../internal/host/kindconfig/testdata"

// kindConfigs are the kind configurations from which a cluster can be created on a host without special devices. Without E2E_FULL,
// TestKind_CreatesAndLoadsThroughSetup creates one from cert-manager.yaml.
func kindConfigs() []string {
	return []string{
		"audit.yaml", "cert-manager.yaml", "devices.yaml", "dual-stack.yaml", "ingress.yaml", "istio.yaml", "knative.yaml", "local-registry.yaml",
		"several-documents.yaml", "stack-orchestrator.yaml", "tekton.yaml",
	}
}

// TestKindConfig_ClustersComeUpAndPull creates a cluster from each kind configuration that setup kind-config has merged. Every node must
// pull from the registry, and a pod must run an image that only the host has.
func TestKindConfig_ClustersComeUpAndPull(t *testing.T) {
	needFull(t)
	up(t)
	image := buildImage(t, "e2e/kind-config:local", "hello", 1)
	rewritten := mustPush(t, image)[0].Rewritten
	for _, file := range kindConfigs() {
		t.Run(file, func(t *testing.T) {
			begin := time.Now()
			s := newSecond(t, "e2e-config")
			s.create(t, localConfig(t, file))
			for _, node := range strings.Fields(command(t, suite.setup, "kind", "get", "nodes", "--name", s.name)) {
				docker(t, "exec", node, "crictl", "pull", rewritten)
			}
			s.wantRuns(t, image)
			t.Logf("created, and a pod runs, after %s", time.Since(begin).Round(time.Second))
		})
	}
}

// localConfig returns a file with the kind configuration. In that file, the nodes mount files from a temporary directory. localConfig
// skips the test if the host cannot have such a cluster.
func localConfig(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(configDirectory, file))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), "ipFamily: dual") {
		needIPv6(t)
	}
	for _, port := range regexp.MustCompile(`hostPort: (\d+)`).FindAllStringSubmatch(string(content), -1) {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":"+port[1])
		if err != nil {
			t.Skipf("SKIP: port %s of this host is in use: %v", port[1], err)
		}
		_ = listener.Close()
	}
	directory := mountable(t)
	local := filepath.Join(directory, file)
	paths := strings.NewReplacer("hostPath: ./", "hostPath: "+directory+"/", "/srv/deployment/", directory+"/", "/srv/disk", directory)
	if err := os.WriteFile(local, []byte(paths.Replace(string(content))), 0o600); err != nil {
		t.Fatal(err)
	}
	return local
}

// mountable returns a directory with the files that the kind configurations mount into nodes. Mounts below it propagate to the nodes.
func mountable(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	if err := unix.Mount(directory, directory, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("SKIP: only root can make a mount that propagates to nodes: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(directory, unix.MNT_DETACH) })
	if err := unix.Mount("", directory, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"audit-policy.yaml":            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n",
		"certs.d/docker.io/hosts.toml": "server = \"https://registry-1.docker.io\"\n[host.\"http://mirror.invalid\"]\n",
		// any valid runtime specification, such as that of the node image
		"high-memlock-spec.json": docker(t, "run", "--rm", "--entrypoint", "cat", suite.nodeImage, "/etc/containerd/cri-base.json"),
		"data/database/file":     "",
	} {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}
