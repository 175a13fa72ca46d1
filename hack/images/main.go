// Command images packs static binaries into images and writes the images to one archive for docker load. Each image has one
// layer, which contains one binary. The same binaries always result in the same archive, because the archive contains no times,
// users or build paths.
//
//	images -arch amd64 -o images.tar kind-local-registry/webhook:v0.1.0=bin/webhook
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	arch := flag.String("arch", "amd64", "architecture of the binaries, such as amd64 or arm64 (see GOARCH)")
	out := flag.String("o", "images.tar", "archive to write")
	flag.Parse()
	if err := run(*arch, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(arch, out string, pairs []string) error {
	if len(pairs) == 0 {
		return errors.New("no image is given: want REFERENCE=BINARY")
	}
	images := map[name.Tag]v1.Image{}
	for _, pair := range pairs {
		reference, binary, found := strings.Cut(pair, "=")
		if !found {
			return fmt.Errorf("parsing %q: want REFERENCE=BINARY", pair)
		}
		tag, err := name.NewTag(reference)
		if err != nil {
			return fmt.Errorf("parsing %q: %w", reference, err)
		}
		if images[tag], err = pack(binary, arch); err != nil {
			return fmt.Errorf("packing %s: %w", reference, err)
		}
	}
	temporary := out + ".tmp"
	if err := tarball.MultiWriteToFile(temporary, images); err != nil {
		return fmt.Errorf("writing %s: %w", temporary, err)
	}
	return os.Rename(temporary, out)
}

// pack returns an image with one layer. The layer contains the binary in the root directory, and the binary is the entrypoint.
func pack(binary, arch string) (v1.Image, error) {
	content, err := os.ReadFile(binary) // #nosec G304 -- the caller names the binary
	if err != nil {
		return nil, err
	}
	base := filepath.Base(binary)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Name: base, Mode: 0o755, Size: int64(len(content)), Format: tar.FormatPAX}
	if err := errors.Join(w.WriteHeader(header), write(w, content), w.Close()); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config.Entrypoint = []string{"/" + base}
	return mutate.ConfigFile(image, config)
}

func write(w io.Writer, content []byte) error {
	_, err := w.Write(content)
	return err
}
