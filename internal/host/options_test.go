package host

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestValidate_JoinsEveryFault(t *testing.T) {
	t.Parallel()
	err := Options{RegistryPort: 70000, AdoptOnly: true, ConfigFile: "kind.yaml"}.Validate()
	if err == nil || !strings.Contains(err.Error(), "70000") || !strings.Contains(err.Error(), "--adopt-only") {
		t.Errorf("Validate = %v, want both faults", err)
	}
	if err := (Options{RegistryPort: 5001}).Validate(); err != nil {
		t.Errorf("Validate = %v for the defaults", err)
	}
}

func TestCheckKubeconfig_NamesTheFileAndTheRemedy(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Options{Kubeconfig: broken}.checkKubeconfig()
	if err == nil || !strings.Contains(err.Error(), broken) || !strings.Contains(err.Error(), "--kubeconfig") {
		t.Errorf("checkKubeconfig = %v", err)
	}
	if err := (Options{Kubeconfig: broken + ".none"}).checkKubeconfig(); err != nil {
		t.Errorf("checkKubeconfig = %v for a file that is yet to be written", err)
	}
}

func TestCheckPort_FindsAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	err = Options{RegistryPort: port}.checkPort(t.Context())
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(port)) || !strings.Contains(err.Error(), "--registry-port") {
		t.Errorf("checkPort = %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := (Options{RegistryPort: port}).checkPort(t.Context()); err != nil {
		t.Errorf("checkPort = %v for a free port", err)
	}
}
