//go:build e2e

package e2e

import (
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"
)

// archiveFormat makes an archive in one format.
type archiveFormat struct {
	// tool is the program that makes it; "" for go-containerregistry, which ko, crane and kaniko use.
	tool, format string
	// named reports whether the archive has the image's name. full means that only E2E_FULL makes the archive.
	named, full bool
	// make makes the archive of an image that docker save has written to a file. directory is empty.
	make func(t *testing.T, saved, image, directory string) (file string)
}

// archiveFormats returns all formats.
func archiveFormats() []archiveFormat {
	return []archiveFormat{
		{"docker", "docker save", true, false, func(_ *testing.T, saved, _, _ string) string { return saved }},
		{"", "tarball", true, false, makeTarball},
		{"", "layout for two platforms", false, false, makeLayout},
		{"podman", "docker-archive", false, true, podmanSave("docker-archive")},
		{"podman", "oci-archive", false, false, podmanSave("oci-archive")},
		{"skopeo", "docker-archive", true, true, skopeoCopy("docker-archive")},
		{"skopeo", "oci-archive", true, true, skopeoCopy("oci-archive")},
		{"skopeo", "oci-archive with zstd", true, false, skopeoCopy("oci-archive", "--dest-compress-format", "zstd")},
		{"buildah", "docker-archive", true, true, buildahPush("docker-archive")},
		{"buildah", "oci-archive", true, true, buildahPush("oci-archive")},
		{"umoci", "layout", false, true, umociConfig},
	}
}

// available reports whether the test makes an archive in the format. It logs if the format's tool is not installed.
func (f archiveFormat) available(t *testing.T) bool {
	t.Helper()
	if f.full && count(0, 1) == 0 || f.tool == "" {
		return !f.full
	}
	_, err := exec.LookPath(f.tool)
	if err != nil {
		t.Logf("SKIP %s %s: the tool is not installed; apt-get install %s", f.tool, f.format, f.tool)
	}
	return err == nil
}

// makeTarball writes an archive with compressed layers, as ko and crane do.
func makeTarball(t *testing.T, saved, image, directory string) string {
	t.Helper()
	tag, err := name.NewTag(image)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(directory, "app.tar")
	if err := tarball.WriteToFile(file, tag, readSaved(t, saved)); err != nil {
		t.Fatal(err)
	}
	return file
}

// makeLayout writes an OCI image layout with an index of the image and of an image for another platform, as docker buildx does.
func makeLayout(t *testing.T, saved, _, directory string) string {
	t.Helper()
	other, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	foreign := &v1.Platform{OS: "linux", Architecture: "s390x"}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: mutate.MediaType(other, "application/vnd.oci.image.manifest.v1+json"), Descriptor: v1.Descriptor{Platform: foreign}},
		mutate.IndexAddendum{Add: readSaved(t, saved), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}})
	outer := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})
	inside := filepath.Join(directory, "layout")
	if _, err := layout.Write(inside, outer); err != nil {
		t.Fatal(err)
	}
	return tarDirectory(t, inside)
}

// readSaved reads an image that docker save has written.
func readSaved(t *testing.T, saved string) v1.Image {
	t.Helper()
	image, err := tarball.ImageFromPath(saved, nil)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// tarDirectory returns a tar of a directory, which is beside it.
func tarDirectory(t *testing.T, directory string) string {
	t.Helper()
	command(t, "tar", "-C", directory, "-cf", directory+".tar", ".")
	return directory + ".tar"
}

// podmanSave returns a function that saves the image with podman. podman calls it localhost/NAME.
func podmanSave(format string) func(t *testing.T, saved, image, directory string) string {
	return func(t *testing.T, saved, _, directory string) string {
		t.Helper()
		storage := storageFlags(t)
		loaded := strings.TrimPrefix(command(t, "podman", append(storage, "load", "-q", "-i", saved)...), "Loaded image: ")
		file := filepath.Join(directory, "app.tar")
		command(t, "podman", append(storage, "save", "-q", "--format", format, "-o", file, loaded)...)
		return file
	}
}

// storageFlags returns the flags with which podman and buildah keep their images in a directory of their own.
func storageFlags(t *testing.T) []string {
	t.Helper()
	directory, err := os.MkdirTemp("", "e2e") //nolint:usetesting // t.TempDir is too long for podman's sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(directory); err != nil {
			t.Error(err)
		}
	})
	return []string{"--root", filepath.Join(directory, "root"), "--runroot", filepath.Join(directory, "run"), "--storage-driver", "vfs"}
}

// skopeoCopy returns a function that copies the image with skopeo.
func skopeoCopy(format string, flags ...string) func(t *testing.T, saved, image, directory string) string {
	return func(t *testing.T, saved, image, directory string) string {
		t.Helper()
		file := filepath.Join(directory, "app.tar")
		args := append([]string{"--insecure-policy", "copy", "-q"}, flags...)
		command(t, "skopeo", append(args, "docker-archive:"+saved, format+":"+file+":"+image)...)
		return file
	}
}

// buildahPush returns a function that pushes the image with buildah.
func buildahPush(format string) func(t *testing.T, saved, image, directory string) string {
	return func(t *testing.T, saved, image, directory string) string {
		t.Helper()
		storage, file := storageFlags(t), filepath.Join(directory, "app.tar")
		id := command(t, "buildah", append(storage, "pull", "-q", "docker-archive:"+saved)...)
		command(t, "buildah", append(storage, "push", "-q", id, format+":"+file+":"+image)...)
		return file
	}
}

// umociConfig changes a label of the image with umoci, which keeps only the tag of its name.
func umociConfig(t *testing.T, saved, _, directory string) string {
	t.Helper()
	inside := filepath.Join(directory, "layout")
	command(t, "skopeo", "--insecure-policy", "copy", "-q", "docker-archive:"+saved, "oci:"+inside+":v1")
	command(t, "umoci", "config", "--image", inside+":v1", "--config.label", "made.by=umoci")
	command(t, "umoci", "gc", "--layout", inside)
	return tarDirectory(t, inside)
}

// compress compresses a file, and returns the file's new name.
func compress(t *testing.T, file, format string) string {
	t.Helper()
	if format == "" {
		return file
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(file + "." + format)
	if err != nil {
		t.Fatal(err)
	}
	var w io.WriteCloser = gzip.NewWriter(out)
	if format == "zst" {
		if w, err = zstd.NewWriter(out); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(w, in); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}
