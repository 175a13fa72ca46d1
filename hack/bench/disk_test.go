package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// makeFile creates a file of random bytes, which no file system can store in less space, and returns its disk space.
func makeFile(t *testing.T, path string, size int) int64 {
	t.Helper()
	content := make([]byte, size)
	_, _ = rand.Read(content) // it never fails
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	return diskSpace(t, path)
}

func diskSpace(t *testing.T, path string) int64 {
	t.Helper()
	var status syscall.Stat_t
	if err := syscall.Lstat(path, &status); err != nil {
		t.Fatal(err)
	}
	return 512 * status.Blocks
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Link(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestOwnBytes_OmitsFilesWithLinksElsewhere(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	docker, node := filepath.Join(root, "docker"), filepath.Join(root, "node")
	for _, directory := range []string{docker, filepath.Join(node, "layer")} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	shared := makeFile(t, filepath.Join(docker, "file"), 1_000_000)
	link(t, filepath.Join(docker, "file"), filepath.Join(node, "layer/linked"))
	link(t, filepath.Join(docker, "file"), filepath.Join(node, "layer/linked-twice"))
	own := makeFile(t, filepath.Join(node, "layer/own"), 100_000)
	own += makeFile(t, filepath.Join(node, "layer/own-with-two-names"), 200_000) // counted once
	link(t, filepath.Join(node, "layer/own-with-two-names"), filepath.Join(node, "second-name"))
	own += diskSpace(t, node) + diskSpace(t, filepath.Join(node, "layer"))

	if got, err := ownBytes(node); err != nil || got != own {
		t.Errorf("ownBytes = %d, %v, want %d: the two files that only the node has, and the directories", got, err, own)
	}
	if err := os.RemoveAll(docker); err != nil {
		t.Fatal(err)
	}
	if got, err := ownBytes(node); err != nil || got != own+shared {
		t.Errorf("ownBytes = %d, %v after Docker removed its layer, want %d", got, err, own+shared)
	}
}

func TestOwnBytes_FailsWithoutDirectory(t *testing.T) {
	t.Parallel()
	if got, err := ownBytes(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Errorf("ownBytes = %d, want an error", got)
	}
}
