package kindcli

import (
	"os"
	"path/filepath"
	"testing"
)

// program writes a program named kind to a new directory and returns its path.
func program(t *testing.T, permissions os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kind")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), permissions); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind_SkipsItselfAndWhatRanIt(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "kind")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	data, script, next := program(t, 0o600), program(t, 0o700), program(t, 0o700)
	directories := []string{"", "relative", t.TempDir(), filepath.Dir(data), filepath.Dir(link), filepath.Dir(script), filepath.Dir(next)}
	for skip, want := range map[string]string{"": script, script: next, next: "", "/not/on/the/PATH": script} {
		if got := find(directories, skip); got != want {
			t.Errorf("find without %q = %q, want %q", skip, got, want)
		}
	}
}
