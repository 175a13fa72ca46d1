package bundle

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kind-local-registry/internal/host/report"

	"github.com/google/go-cmp/cmp"
)

func TestWrite_RedactsContentsAndErrors(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "new")
	if err := Prepare(directory); err != nil {
		t.Fatal(err)
	}
	sources := []Source{
		{Path: "nodes/a/journal.log", Read: func(context.Context) ([]byte, error) { return []byte("password=" + planted), nil }},
		{Path: "b.json", Read: func(context.Context) ([]byte, error) {
			return nil, errors.New("GET http://me:" + planted + "@x: refused")
		}},
	}
	got, err := Write(t.Context(), directory, NewRedactor(), sources, func(string) {})
	want := report.Export{Directory: directory, Files: []string{"README.txt", "b.json.error", "nodes/a/journal.log"}, Missing: []string{"b.json"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Write: %v, (-want +got):\n%s", err, diff)
	}
	for _, file := range got.Files {
		content, err := os.ReadFile(filepath.Join(directory, file))
		if err != nil || strings.Contains(string(content), planted) || len(content) == 0 {
			t.Errorf("%s = %q, %v; want it without %s", file, content, err, planted)
		}
		info, err := os.Stat(filepath.Join(directory, file))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v; want 0600", file, info.Mode(), err)
		}
	}
}

func TestWrite_StaysInItsDirectory(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	directory := filepath.Join(parent, "new")
	if err := Prepare(directory); err != nil {
		t.Fatal(err)
	}
	outside := Source{Path: "../outside", Read: func(context.Context) ([]byte, error) { return []byte("x"), nil }}
	if _, err := Write(t.Context(), directory, NewRedactor(), []Source{outside}, func(string) {}); err == nil {
		t.Error("Write succeeds with a path outside of the directory, want an error")
	}
	if _, err := os.Stat(filepath.Join(parent, "outside")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file outside of the directory exists: %v", err)
	}
}

func TestPrepare_NeverWritesBesideOtherFiles(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := Prepare(directory); err != nil {
		t.Errorf("Prepare of an empty directory = %v", err)
	}
	if err := os.WriteFile(filepath.Join(directory, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(directory); err == nil || !strings.Contains(err.Error(), "is not empty; name a new directory") {
		t.Errorf("Prepare = %v, want an error with a remedy", err)
	}
}
