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

func TestCheckLinked_AllowsOnePercentAndDirectories(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		name         string
		bytes, image int64
		linked       bool
	}{
		"linked":                            {"100MB", 1_000_000, 100_000_000, true},
		"more than one percent":             {"100MB", 1_000_001, 100_000_000, false},
		"pulled":                            {"100MB", 100_000_000, 100_000_000, false},
		"linked, with many directories":     {"80k-files", 10_000_000 + 8_000*4096, 1_000_000_000, true},
		"some files copied":                 {"80k-files", 10_000_001 + 8_000*4096, 1_000_000_000, false},
		"pulled, with many directories":     {"80k-files", 1_033_000_000, 1_000_000_000, false},
		"a node that garbage made smaller":  {"100MB", -5000, 100_000_000, true},
		"ten images, which have few files":  {"10x80MB", 800_000, 80_000_000, true},
		"pulled, of an image with ten tops": {"10x80MB", 80_000_000, 80_000_000, false},
	} {
		chosen, err := choose(test.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := (disk{Bytes: test.bytes, Image: test.image}).checkLinked(chosen[0]); (err == nil) != test.linked {
			t.Errorf("%s: checkLinked = %v, want linked = %t", what, err, test.linked)
		}
	}
}

func TestOwnBytes_FailsWithoutDirectory(t *testing.T) {
	t.Parallel()
	if got, err := ownBytes(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Errorf("ownBytes = %d, want an error", got)
	}
}
