package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// subject describes a case: the images to deliver and the scenarios to measure.
type subject struct {
	Name      string
	Images    int // number of images; they share a base
	Base      int // size of the base in megabytes; it has three layers
	Top       int // size in megabytes of the layer that each image adds to the base, and that a rebuild changes
	Files     int // number of files in the base; 0 for a few files of 1 and 8 MB
	Scenarios []string
}

// The scenarios. Except in scenario rebuild, the node has no layers of the image at first.
const (
	first    = "first delivery" // the registry has no layers either
	rebuild  = "rebuild"        // node and registry have the image, but one layer has changed since
	recreate = "recreate"       // the cluster is new, and the registry has the image
	second   = "second node"    // another node and the registry have the image
)

// subjects returns all cases.
func subjects() []subject {
	return []subject{
		{Name: "100MB", Images: 1, Base: 70, Top: 30, Scenarios: []string{first, second, rebuild, recreate}},
		{Name: "858MB", Images: 1, Base: 828, Top: 30, Scenarios: []string{first, second, rebuild, recreate}},
		{Name: "10x80MB", Images: 10, Base: 50, Top: 30, Scenarios: []string{first}},
		{Name: "5GB", Images: 1, Base: 4970, Top: 30, Scenarios: []string{first, second, rebuild, recreate}},
		{Name: "80k-files", Images: 1, Base: 970, Top: 30, Files: 80_000, Scenarios: []string{first}},
	}
}

// names returns the names of all cases.
func names() (all []string) {
	for _, s := range subjects() {
		all = append(all, s.Name)
	}
	return all
}

// pause returns how long to wait before each measurement.
func (s subject) pause() time.Duration {
	if s.Files > 0 {
		return longPause
	}
	return pause
}

func (s subject) has(scenario string) bool {
	for _, name := range s.Scenarios {
		if name == scenario {
			return true
		}
	}
	return false
}

// references returns the references of a method's images in the daemon. Each method has its own images, on the same base, because
// the kubelet remembers the reference under which kind load imported an image.
func (s subject) references(m method) (references []string) {
	for i := range s.Images {
		references = append(references, fmt.Sprintf("bench/%s-%d:%s", strings.ToLower(s.Name), i, m.tag))
	}
	return references
}

func (s subject) baseReference() string { return "bench/" + strings.ToLower(s.Name) + "-base:local" }

// makeBase builds the base of the case's images. It contains the program that the pods run, and three layers of random files.
func (b *bench) makeBase(ctx context.Context, s subject) error {
	b.say("building an image of %d MB", s.Base)
	directory := filepath.Join(b.work, "base")
	defer func() { _ = os.RemoveAll(directory) }()
	dockerfile := "FROM scratch\nCOPY hello /hello\n"
	if err := copyFile(filepath.Join(directory, "hello"), filepath.Join(b.work, "hello")); err != nil {
		return err
	}
	for i := range 3 {
		layer := fmt.Sprintf("layer%d", i)
		dockerfile += "COPY " + layer + " /" + layer + "\n"
		var err error
		if size, seed := int64(s.Base)*1_000_000/3, fmt.Sprint("base", i); s.Files > 0 {
			err = fillSmall(filepath.Join(directory, layer), size, s.Files/3, seed)
		} else {
			err = fill(filepath.Join(directory, layer), size, seed)
		}
		if err != nil {
			return fmt.Errorf("creating a layer of %s: %w", s.Name, err)
		}
	}
	return b.build(ctx, directory, dockerfile+"ENTRYPOINT [\"/hello\"]\n", s.baseReference())
}

// makeImages builds a method's images for the case, each with a new top layer.
func (b *bench) makeImages(ctx context.Context, s subject, m method) error {
	for _, reference := range s.references(m) {
		directory := filepath.Join(b.work, "top")
		b.builds++
		if err := fill(filepath.Join(directory, "top"), int64(s.Top)*1_000_000, fmt.Sprint("top", b.builds)); err != nil {
			return fmt.Errorf("creating a layer of %s: %w", reference, err)
		}
		err := b.build(ctx, directory, "FROM "+s.baseReference()+"\nCOPY top /top\n", reference)
		if err := errors.Join(err, os.RemoveAll(directory)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) build(ctx context.Context, directory, dockerfile, reference string) error {
	if err := os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		return err
	}
	_, err := b.command(ctx, "", "env", "DOCKER_BUILDKIT=0", "docker", "build", "-q", "--label", label, "-t", reference, directory)
	return err
}

const (
	bigFile  = 8_000_000 // bytes; incompressible, like an archive
	textFile = 1_000_000 // bytes; compresses to half, like a program
)

// fill fills a directory with files of size bytes in total; half of the bytes are compressible. The same seed produces the same
// bytes. It creates only a few files, because they are removed before each measurement, and after many removals ext4 creates
// files slowly for a minute.
func fill(directory string, size int64, seed string) error {
	var key [32]byte
	copy(key[:], seed)
	random := rand.NewChaCha8(key)
	for number := 0; size > 0; number++ {
		name, content := fmt.Sprintf("share/%d/%d", number%100, number), io.LimitReader(text{random}, min(textFile, size))
		if number%(1+bigFile/textFile) == 0 {
			name, content = fmt.Sprintf("lib/%d", number), io.LimitReader(random, min(bigFile, size))
		}
		written, err := writeFile(filepath.Join(directory, name), content)
		if err != nil {
			return err
		}
		size -= written
	}
	return nil
}

// filesPerDirectory is the number of small files in each directory, which is typical of Node.js and Python packages.
const filesPerDirectory = 10

// directories returns about how many directories the small files of the case are in.
func (s subject) directories() int { return s.Files / filesPerDirectory }

// fillSmall fills a directory with small files, whose total size is size bytes. Half of the files are compressible. The smallest
// file has half the average size, and the largest has one and a half times the average size. The same seed produces the same
// bytes.
func fillSmall(directory string, size int64, files int, seed string) error {
	var key [32]byte
	copy(key[:], seed)
	random := rand.NewChaCha8(key)
	average := size / int64(files)
	for number := range files {
		content := io.Reader(random)
		if number%2 == 0 {
			content = text{random}
		}
		name := fmt.Sprintf("share/%d/%d/%d.js", number/filesPerDirectory/100, number/filesPerDirectory, number)
		content = io.LimitReader(content, average/2+average*int64(number%11)/10)
		if _, err := writeFile(filepath.Join(directory, name), content); err != nil {
			return err
		}
	}
	return nil
}

// text generates text that consists of 16 different characters and can be compressed to about half its size.
type text struct{ random io.Reader }

// Read fills p with text.
func (t text) Read(p []byte) (int, error) {
	n, err := t.random.Read(p)
	for i := range p[:n] {
		p[i] = "etaoin shrdlucm\n"[p[i]&15]
	}
	return n, err
}

func writeFile(path string, content io.Reader) (written int64, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return 0, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700) // #nosec G302 G304 -- a program, in our directory
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriterSize(file, 1<<16)
	written, err = io.Copy(w, content)
	return written, errors.Join(err, w.Flush())
}

func copyFile(to, from string) error {
	file, err := os.Open(from) // #nosec G304 -- ours
	if err != nil {
		return err
	}
	_, err = writeFile(to, file)
	return errors.Join(err, file.Close())
}
