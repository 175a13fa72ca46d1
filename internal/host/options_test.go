package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rules"
)

func TestOptions_ValidateJoinsEveryFault(t *testing.T) {
	t.Parallel()
	err := Options{RegistryPort: 70000, AdoptOnly: true, ConfigFile: "kind.yaml"}.Validate()
	if err == nil || !strings.Contains(err.Error(), "70000") || !strings.Contains(err.Error(), "--adopt-only") {
		t.Errorf("Validate = %v, want both faults", err)
	}
	if err := (Options{RegistryPort: 5001}).Validate(); err != nil {
		t.Errorf("Validate = %v for the defaults", err)
	}
}

func TestReadRules_ReturnsRulesOrTheirFault(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte("alwaysPull: Host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := rules.Default()
	want.AlwaysPull = rules.AlwaysPullHost
	got, err := ReadRules(path)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ReadRules: %v, (-want +got):\n%s", err, diff)
	}
	if _, err := ReadRules(path + ".none"); err == nil {
		t.Error("ReadRules succeeds although the file does not exist")
	}
}
