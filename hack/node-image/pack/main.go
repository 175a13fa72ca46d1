// Command pack packs binaries into the images that a kind node preloads, and these into the four archives that
// `kind build node-image --type file` reads:
//
//	pack -kubernetes v1.37.2 -etcd IMAGE -coredns IMAGE ... BUILT OUT
//
// BUILT has one directory of binaries per build stage. OUT is the directory for the archives.
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
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var n names
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	flags.StringVar(&n.kubernetes, "kubernetes", "", "Kubernetes `version`, such as v1.37.2")
	flags.StringVar(&n.etcd, "etcd", "", "`name` of kubeadm's etcd image")
	flags.StringVar(&n.coredns, "coredns", "", "`name` of kubeadm's CoreDNS image")
	flags.StringVar(&n.pause, "pause", "", "`name` of containerd's sandbox image")
	flags.StringVar(&n.kindnetd, "kindnetd", "", "`name` of the image in kind's CNI manifest")
	flags.StringVar(&n.provisioner, "provisioner", "", "`name` of the image in kind's storage manifest")
	flags.StringVar(&n.helper, "helper", "", "`name` of the image for the storage provisioner's scripts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return errors.New("want two arguments, BUILT and OUT")
	}
	built, out := flags.Arg(0), flags.Arg(1)
	p := packer{built: built, layers: map[string]v1.Layer{}}
	for archive, images := range contents(n) {
		if err := p.write(filepath.Join(out, archive), images); err != nil {
			return fmt.Errorf("writing %s: %w", archive, err)
		}
	}
	return nil
}

// packer builds images of the files below built. It builds a layer that several images share only once.
type packer struct {
	built  string
	layers map[string]v1.Layer
}

// write writes a Docker archive with images to path. The archive begins with the entry "repositories": of the manifest at the
// end kind reads only the first image's names.
func (p *packer) write(path string, images []image) (err error) {
	tagged := map[name.Tag]v1.Image{}
	for _, i := range images {
		tag, err := name.NewTag(i.name)
		if err != nil {
			return fmt.Errorf("parsing image name: %w", err)
		}
		if tagged[tag], err = p.image(i); err != nil {
			return fmt.Errorf("building image %s: %w", i.name, err)
		}
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	index, err := repositories(images)
	if err != nil {
		return err
	}
	if err := writeEntry(tar.NewWriter(file), "repositories", index); err != nil {
		return err
	}
	return tarball.MultiWrite(tagged, file)
}

// image builds the image i.
func (p *packer) image(i image) (v1.Image, error) {
	img := empty.Image
	for _, files := range i.layers {
		layer, err := p.layer(files)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint = []string{i.entrypoint}
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return mutate.ConfigFile(img, config)
}

// layer returns a layer of files: the tar itself if that is the only one, otherwise a new tar.
func (p *packer) layer(files []file) (v1.Layer, error) {
	key := fmt.Sprint(files)
	if layer, ok := p.layers[key]; ok {
		return layer, nil
	}
	var buffer bytes.Buffer
	if err := p.tar(&buffer, files); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil
	}, tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	p.layers[key] = layer
	return layer, nil
}

// tar writes files to out as a tar.
func (p *packer) tar(out io.Writer, files []file) error {
	w := tar.NewWriter(out)
	for _, f := range files {
		if f.link != "" {
			header := &tar.Header{Typeflag: tar.TypeSymlink, Name: f.path, Linkname: f.link, Mode: 0o777}
			if err := w.WriteHeader(header); err != nil {
				return err
			}
			continue
		}
		data, err := os.ReadFile(filepath.Join(p.built, f.built))
		if err != nil {
			return err
		}
		if f.path == "" { // already a tar
			_, err := out.Write(data)
			return err
		}
		if err := writeEntry(w, f.path, data); err != nil {
			return err
		}
	}
	return w.Close()
}

// writeEntry writes one file with its padding. The tar stays open for more.
func writeEntry(w *tar.Writer, path string, data []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o755, Size: int64(len(data))}); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Flush()
}
