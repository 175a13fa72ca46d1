//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildImage builds a host-only image that contains the program hello, its greeting, and one layer of random bytes for each size
// in MB. A different greeting results in a different image under the same reference.
func buildImage(t *testing.T, name, greeting string, megabytes ...int) string {
	t.Helper()
	dir := t.TempDir()
	dockerfile := "FROM scratch\nCOPY hello /hello\n"
	for i, size := range megabytes {
		file := fmt.Sprintf("ballast%d", i)
		writeRandom(t, filepath.Join(dir, file), size)
		dockerfile += "COPY " + file + " /" + file + "\n"
	}
	dockerfile += fmt.Sprintf("ENV GREETING=%q\nENTRYPOINT [\"/hello\"]\n", greeting)
	hello, err := os.ReadFile(suite.hello)
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{"hello": hello, "Dockerfile": []byte(dockerfile)} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("DOCKER_BUILDKIT", "0") // the classic builder works with every Docker version
	id := docker(t, "build", "-q", "-t", name, dir)
	t.Cleanup(func() { removeImage(t, id) }) // by its ID, because a later build may have taken its tag
	return name
}

func removeImage(t *testing.T, name string) {
	t.Helper()
	// t.Context is already cancelled when cleanups run.
	if out, err := backgroundCommand("docker", "image", "rm", "-f", name); err != nil && !strings.Contains(out, "No such image") {
		t.Errorf("removing image %s: %v\n%s", name, err, out)
	}
}

// buildHello builds examples/hello.
func buildHello(ctx context.Context, path string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../../examples/hello")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building examples/hello: %w\n%s", err, out)
	}
	return nil
}

func writeRandom(t *testing.T, path string, megabytes int) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(file, rand.Reader, int64(megabytes)*1_000_000); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// buildProgram builds a host-only image that contains the program testdata/NAME.
func buildProgram(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	buildTestdata(t, dir, name)
	dockerfile := fmt.Sprintf("FROM scratch\nCOPY %s /%s\nENTRYPOINT [\"/%s\"]\n", name, name, name)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_BUILDKIT", "0") // the classic builder works with every Docker version
	reference := "e2e/" + name + ":local"
	id := docker(t, "build", "-q", "-t", reference, dir)
	t.Cleanup(func() { removeImage(t, id) })
	return reference
}

// buildTestdata builds the program testdata/NAME into the directory, and returns the program's path.
func buildTestdata(t *testing.T, directory, name string) string {
	t.Helper()
	path := filepath.Join(directory, name)
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "./testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building testdata/%s: %v\n%s", name, err, out)
	}
	return path
}
