//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"

	"kind-local-registry/test/testimage"
)

// arrangement is a Dockerfile whose steps make and change files in a container. BuildKit makes a layer of the container's own files,
// whereas the layers of a loaded image are unpacked from tars.
const arrangement = `FROM scratch
COPY arrange /arrange
RUN ["/arrange", "create"]
RUN ["/arrange", "change"]
RUN ["/arrange", "restore"]
`

// byBuildKit is the kind of the image that BuildKit builds.
const byBuildKit = "built by BuildKit"

// notInTar matches what is on the disk, but not in the tars that Docker makes of BuildKit's layers: fractions of seconds, and extended
// attributes that are not capabilities. A linked node has them, like Docker.
var notInTar = regexp.MustCompile(`\.\d{9} |"user\.note":"kept"`)

// inTar returns the descriptions of files without what is not in the tars of their layers.
func inTar(files map[string]string) map[string]string {
	for name, description := range files {
		files[name] = notInTar.ReplaceAllString(description, "")
	}
	return files
}

// builtImages builds images with both of Docker's builders, and returns their references by builder.
func builtImages(t *testing.T) map[string]string {
	t.Helper()
	directory := t.TempDir()
	program := buildTestdata(t, directory, "arrange")
	if err := os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte(arrangement), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_BUILDKIT", "0")
	id := docker(t, "build", "-q", "--network", "none", "-t", "equal/classic:local", directory)
	t.Cleanup(func() { removeImage(t, id) })
	buildByBuildKit(t, "equal/buildkit:local", program)
	return map[string]string{"built by the classic builder": "equal/classic:local", byBuildKit: "equal/buildkit:local"}
}

// buildByBuildKit builds the arrangement by BuildKit. It uses Docker's API, because the command needs the plugin buildx for this.
func buildByBuildKit(t *testing.T, reference, program string) {
	t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	file := testimage.Regular("arrange", string(content))
	file.Mode = 0o755
	sent := testimage.Layer(t, []testimage.File{testimage.Regular("Dockerfile", arrangement), file})
	daemon, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Close() }()
	response, err := daemon.ImageBuild(t.Context(), bytes.NewReader(sent), client.ImageBuildOptions{
		Version: build.BuilderBuildKit, Tags: []string{reference}, NetworkMode: "none",
		NoCache: true, // the cache may have the layers of an earlier run
	})
	if err != nil {
		t.Fatalf("building %s: %v", reference, err)
	}
	defer func() { _ = response.Body.Close() }()
	t.Cleanup(func() { removeImage(t, reference) })
	for messages := json.NewDecoder(response.Body); ; {
		var message struct{ Error string }
		if err := messages.Decode(&message); errors.Is(err, io.EOF) {
			return
		} else if err != nil || message.Error != "" {
			t.Fatalf("building %s: %v, %s", reference, err, message.Error)
		}
	}
}
