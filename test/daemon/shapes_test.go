//go:build daemon

package daemon

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// file is an entry of a layer.
type file struct {
	tar.Header
	content string
}

// shapes are images that have broken one tool or another, by what is odd about them: the files of each layer.
func shapes() map[string][][]file {
	numbered := func(n int) (layers [][]file) {
		for i := range n {
			layers = append(layers, []file{regular(fmt.Sprintf("layer-%03d", i), "content")})
		}
		return layers
	}
	long := strings.Repeat("n", 255)
	return map[string][][]file{
		"one layer": numbered(1),
		"125 layers, the most that overlay2 takes": numbered(125),
		"a layer that is there twice":              {numbered(1)[0], {regular("other", "x")}, numbered(1)[0]},
		"an empty layer":                           {{regular("a", "x")}, {}},
		"empty files":                              {{regular("a", ""), regular("b", "")}},
		"hard links":                               {{regular("a", "x"), {Header: tar.Header{Name: "b", Linkname: "a", Typeflag: tar.TypeLink}}}},
		"symbolic links out of the image":          {{{Header: tar.Header{Name: "a", Linkname: "../../../../etc/passwd", Typeflag: tar.TypeSymlink}}, regular("b", "x")}},
		"extended attributes": {{{Header: tar.Header{
			Name: "a", Typeflag: tar.TypeReg, Mode: 0o755, Size: 1, Format: tar.FormatPAX,
			PAXRecords: map[string]string{"SCHILY.xattr.user.note": "kept", "SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		}, content: "x"}}},
		"device nodes": {{
			{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}},
			{Header: tar.Header{Name: "fifo", Typeflag: tar.TypeFifo, Mode: 0o666}},
		}},
		"whiteouts and opaque directories": {
			{directory("d"), regular("d/a", "x"), regular("d/b", "x"), directory("e"), regular("e/a", "x")},
			{regular("d/.wh.a", ""), directory("e"), regular("e/.wh..wh..opq", ""), regular("e/new", "y")},
		},
		"files deleted and added again":     {{regular("a", "1")}, {regular(".wh.a", "")}, {regular("a", "2")}},
		"names of 255 bytes":                {{directory(long), regular(long+"/"+long, "x")}},
		"names that are not ASCII":          {{regular("größe-日本語", "x"), regular("caf\xe9 (Latin-1)", "y")}},
		"names with a dot and a slash":      {{regular("./a", "x"), regular("/b", "y"), directory("./c/")}},
		"owners and times beyond the usual": {{{Header: tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 1, Uid: 1 << 21, Gid: 1 << 22, ModTime: time.Unix(-5, 7), Format: tar.FormatPAX}, content: "x"}}},
		"set-user-ID and sticky bits":       {{{Header: tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o4755, Size: 1}, content: "x"}, {Header: tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}}}},
		"files of several megabytes":        {{regular("a", strings.Repeat("0123456789abcdef", 1<<18)), regular("b", strings.Repeat("x", 1<<20+1))}},
	}
}

func regular(name, content string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}, content}
}

func directory(name string) file {
	return file{tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}

// layerTar returns the tar of those files.
func layerTar(t *testing.T, files []file) []byte {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range files {
		header := f.Header
		if err := w.WriteHeader(&header); err != nil {
			t.Fatalf("file %q: %v", f.Name, err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatalf("file %q: %v", f.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return layer.Bytes()
}

// newImage returns an image of those layers, which are uncompressed tars.
func newImage(t *testing.T, layers ...[]byte) v1.Image {
	t.Helper()
	image := empty.Image
	for _, content := range layers {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			t.Fatalf("making a layer: %v", err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatalf("appending a layer: %v", err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}
