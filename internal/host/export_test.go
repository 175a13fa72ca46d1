package host

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"

	"kind-local-registry/config"
	"kind-local-registry/internal/pusher"
)

const planted = "S3cr3tV4lue"

// readBundle returns the contents of a bundle's files, keyed by path.
func readBundle(t *testing.T, directory string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, directory+"/")] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestExport_ContainsNothingThatIsPlanted(t *testing.T) {
	daemon := newDaemon(t)
	daemon.Info.HTTPProxy = "http://me:" + planted + "@proxy.example:3128"
	registry := daemon.AddContainer(config.RegistryContainer, nil)
	registry.Config = &container.Config{
		Image: "registry:2", Labels: map[string]string{"password": planted},
		Env: []string{"REGISTRY_STORAGE_S3_KEY=" + planted, "PATH=/bin", "HTTPS_PROXY=http://me:" + planted + "@proxy.example"},
		Cmd: []string{"serve", "--http-secret=" + planted},
	}
	registry.Log = "GET /v2/ Authorization: Basic " + planted + "\nready\n"
	credentials := daemon.AddContainer(config.PusherContainer, map[string]string{config.Label: config.PusherContainer})
	credentials.Files["/etc/"+config.PusherContainer+"/"+pusher.ClientKeyFile] = []byte(planted + "-the-client-key")
	credentials.Log = "the key is " + planted + "-the-client-key\n"

	directory := filepath.Join(t.TempDir(), "logs")
	written, err := Export(t.Context(), Options{Cluster: "no-such-cluster"}, directory, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	files := readBundle(t, directory)
	for path, content := range files {
		if strings.Contains(content, planted) {
			t.Errorf("%s contains %s:\n%s", path, planted, content)
		}
	}
	for path, want := range map[string]string{
		"containers/kind-registry.log": "ready", "containers/kind-registry.json": "PATH=/bin", "docker.json": "proxy.example:3128",
		"status.json": "no kind cluster no-such-cluster", "doctor.json": "findings", "cluster.error": "no such kind cluster",
	} {
		if !strings.Contains(files[path], want) {
			t.Errorf("%s = %q, want it to contain %q", path, files[path], want)
		}
	}
	if !slices.Contains(written.Missing, "containers/"+config.LinkerContainer+".log") {
		t.Errorf("missing = %q, want the log of the linker, which does not exist", written.Missing)
	}
}

func TestExport_ExplainsWhyDockerCannotBeUsed(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	directory := filepath.Join(t.TempDir(), "logs")
	written, err := Export(t.Context(), Options{}, directory, func(string) {})
	if want := []string{"README.txt", "doctor.json", "setup.json"}; err != nil || !slices.Equal(written.Files, want) {
		t.Errorf("Export = %q, %v; want %q", written.Files, err, want)
	}
	var report struct{ OK bool }
	if err := json.Unmarshal([]byte(readBundle(t, directory)["doctor.json"]), &report); err != nil || report.OK {
		t.Errorf("doctor.json: ok %t, %v; want false", report.OK, err)
	}
}
