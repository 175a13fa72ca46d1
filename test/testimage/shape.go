package testimage

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// File is an entry of a layer.
type File struct {
	tar.Header

	Content string
	// Binary means that the header contains the size as a binary number. Tar normally does this only for sizes of 8 GiB or more,
	// which the octal field cannot represent.
	Binary bool
}

// All returns images, keyed by what is unusual about them. Each image is a list of layers, lowest layer first, and each layer is
// a list of files.
func All() map[string][][]File {
	numbered := func(n int) (layers [][]File) {
		for i := range n {
			layers = append(layers, []File{Regular(fmt.Sprintf("layer-%03d", i), "content")})
		}
		return layers
	}
	long := strings.Repeat("n", 255)
	return map[string][][]File{
		"one layer":                               numbered(1),
		"125 layers, the maximum of overlay2":     numbered(125),
		"the same layer twice":                    {numbered(1)[0], {Regular("other", "x")}, numbered(1)[0]},
		"an empty layer":                          {{Regular("a", "x")}, {}},
		"a file size in binary, as from 8 GiB on": {{Regular("a", "x"), binarySize("b", "content"), Regular("c", "y")}},
		"empty files":                             {{Regular("a", ""), Regular("b", "")}},
		"hard links":                              {{Regular("a", "x"), {Header: tar.Header{Name: "b", Linkname: "a", Typeflag: tar.TypeLink}}}},
		"symbolic links out of the image":         {{{Header: tar.Header{Name: "a", Linkname: "../../../../etc/passwd", Typeflag: tar.TypeSymlink}}, Regular("b", "x")}},
		"extended attributes": {{{Header: tar.Header{
			Name: "a", Typeflag: tar.TypeReg, Mode: 0o755, Size: 1, Format: tar.FormatPAX,
			PAXRecords: map[string]string{"SCHILY.xattr.user.note": "kept", "SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		}, Content: "x"}}},
		"device nodes": {{
			{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}},
			{Header: tar.Header{Name: "fifo", Typeflag: tar.TypeFifo, Mode: 0o666}},
		}},
		"whiteouts and opaque directories": {
			{Directory("d"), Regular("d/a", "x"), Regular("d/b", "x"), Directory("e"), Regular("e/a", "x")},
			{Regular("d/.wh.a", ""), Directory("e"), Regular("e/.wh..wh..opq", ""), Regular("e/new", "y")},
		},
		"files deleted and added again":       {{Regular("a", "1")}, {Regular(".wh.a", "")}, {Regular("a", "2")}},
		"names of 255 bytes":                  {{Directory(long), Regular(long+"/"+long, "x")}},
		"non-ASCII names":                     {{Regular("größe-日本語", "x"), Regular("caf\xe9 (Latin-1)", "y")}},
		"names with a dot and a slash":        {{Regular("./a", "x"), Regular("/b", "y"), Directory("./c/")}},
		"large owner IDs and a negative time": {{{Header: tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 1, Uid: 1 << 21, Gid: 1 << 22, ModTime: time.Unix(-5, 7), Format: tar.FormatPAX}, Content: "x"}}},
		"set-user-ID and sticky bits":         {{{Header: tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o4755, Size: 1}, Content: "x"}, {Header: tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}}}},
		"files of several megabytes":          {{Regular("a", strings.Repeat("0123456789abcdef", 1<<18)), Regular("b", strings.Repeat("x", 1<<20+1))}},
	}
}

// Regular returns a regular file.
func Regular(name, content string) File {
	return File{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}, Content: content}
}

// Directory returns a directory.
func Directory(name string) File {
	return File{Header: tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}}
}

func binarySize(name, content string) File {
	f := Regular(name, content)
	f.Binary = true
	return f
}

// Layer returns a tar archive that contains the files.
func Layer(t testing.TB, files []File) []byte {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range files {
		header := f.Header
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		start := layer.Len()
		if err := w.WriteHeader(&header); err != nil {
			t.Fatalf("file %q: %v", f.Name, err)
		}
		if f.Binary {
			writeBinary(layer.Bytes()[start:], f.Size)
		}
		if _, err := io.WriteString(w, f.Content); err != nil {
			t.Fatalf("file %q: %v", f.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return layer.Bytes()
}

// writeBinary replaces the size in a header with its base-256 form and updates the checksum
// (https://www.gnu.org/software/tar/manual/html_node/Extensions.html).
func writeBinary(header []byte, size int64) {
	field, checksum := header[124:136], header[148:156]
	binary.BigEndian.PutUint32(field, 0x80<<24)
	binary.BigEndian.PutUint64(field[4:], uint64(size)) // #nosec G115 -- the length of a string
	copy(checksum, "        ")
	sum := 0
	for _, b := range header[:512] {
		sum += int(b)
	}
	copy(checksum, fmt.Sprintf("%06o\x00", sum))
}

// Image returns an image with the layers for this machine's platform. Each layer is a tar archive.
func Image(t testing.TB, layers ...[]byte) v1.Image {
	t.Helper()
	image := empty.Image
	for _, content := range layers {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			t.Fatalf("creating a layer: %v", err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatalf("appending a layer: %v", err)
		}
	}
	return For(t, "linux/"+runtime.GOARCH, image)
}

// For returns a copy of the image, with the platform set in the config of the copy.
func For(t testing.TB, platform string, image v1.Image) v1.Image {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, _ = strings.Cut(platform, "/")
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}
