//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestVerify_RepairsTheRegistryFromTheHost(t *testing.T) {
	image, _ := pushedImage(t, "verified")
	if out, err := exec.CommandContext(t.Context(), suite.setup, "verify").CombinedOutput(); err != nil {
		t.Fatalf("setup verify of an intact registry: %v\n%s", err, out)
	}
	stored := listImages(t.Context(), t, "e2e/verified")
	if len(stored) != 1 {
		t.Fatalf("images = %+v, want one", stored)
	}
	hex := stored[0].Digest.Encoded()
	if err := os.Truncate(filepath.Join(string(openBlobs(t)), hex[:2], hex, "data"), 10); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), suite.setup, "verify").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "e2e/verified") || !strings.Contains(string(out), "setup verify --repair") {
		t.Errorf("setup verify of a damaged registry = %v, want an error about e2e/verified:\n%s", err, out)
	}
	if out, err = exec.CommandContext(t.Context(), suite.setup, "verify", "--repair").CombinedOutput(); err != nil {
		t.Errorf("setup verify --repair: %v\n%s", err, out)
	}
	t.Logf("setup verify --repair:\n%s", out)
	createPod(t, "verified-again", namespace, podSpec(image))
	awaitRunning(t, "verified-again", time.Minute)
}
