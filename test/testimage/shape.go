package testimage

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
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
	shapes := map[string][][]File{
		"one layer":                               numbered(1),
		"125 layers, the maximum of overlay2":     numbered(125),
		"the same layer twice":                    {numbered(1)[0], {Regular("other", "x")}, numbered(1)[0]},
		"an empty layer":                          {{Regular("a", "x")}, {}},
		"a file size in binary, as from 8 GiB on": {{Regular("a", "x"), binarySize("b", "content"), Regular("c", "y")}},
		"empty files":                             {{Regular("a", ""), Regular("b", "")}},
		"hard links":                              {{Regular("a", "x"), hard("b", "a")}},
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
	maps.Copy(shapes, changes())
	maps.Copy(shapes, attributes())
	return shapes
}

// changes returns images whose upper layers change what lower layers contain.
func changes() map[string][][]File {
	return map[string][][]File{
		"a directory replaced by a file and back": {
			{Directory("d"), Regular("d/a", "x")}, {Regular(".wh.d", ""), Regular("d", "y")}, {Directory("d"), Regular("d/b", "z")},
		},
		"a directory replaced by a symbolic link": {{Directory("d"), Regular("d/a", "x"), Directory("e")}, {Regular(".wh.d", ""), symbolic("d", "e")}},
		"a symbolic link replaced by a directory": {{Directory("e"), symbolic("d", "e")}, {Directory("d"), Regular("d/a", "x")}},
		"files changed in mode only":              {{Regular("a", "x")}, {with(Regular("a", "x"), func(h *tar.Header) { h.Mode = 0o700 })}},
		"files changed in owner only":             {{Regular("a", "x")}, {with(Regular("a", "x"), func(h *tar.Header) { h.Uid, h.Gid = 7, 8 })}},
		"a directory changed in mode only":        {{Directory("d"), Regular("d/a", "x")}, {with(Directory("d"), func(h *tar.Header) { h.Mode = 0o1700 })}},
		"whiteouts of directories":                {{Directory("d"), Directory("d/e"), Regular("d/e/a", "x")}, {Regular("d/.wh.e", "")}, {Directory("d/e"), Regular("d/e/b", "y")}},
		"nested opaque directories": {
			{Directory("d"), Directory("d/e"), Regular("d/e/a", "x"), Regular("d/a", "x")},
			{Directory("d"), Directory("d/e"), Regular("d/e/.wh..wh..opq", ""), Regular("d/e/b", "y")},
			{Directory("d"), Regular("d/.wh..wh..opq", ""), Regular("d/c", "z")},
		},
		"a file replaced by a device":           {{Regular("a", "x")}, {{Header: tar.Header{Name: "a", Typeflag: tar.TypeChar, Mode: 0o600, Devmajor: 1, Devminor: 5}}}},
		"hard links that an upper layer breaks": {{Regular("a", "x"), hard("b", "a")}, {Regular("b", "y")}},
		"hard links that an upper layer adds":   {{Regular("a", "x")}, {Regular("a", "x"), hard("b", "a")}},
		"hard links moved by an upper layer": {
			{Regular("a", "x"), hard("b", "a")}, {Regular(".wh.a", ""), Directory("d"), Regular("d/a", "x"), hard("b", "d/a")},
		},
		"empty layers below and above others":     {{}, {}, {Regular("a", "x")}, {}, {}, {Regular("b", "x")}, {}},
		"directories that an upper layer implies": {{Directory("d"), Directory("d/e")}, {Regular("d/e/a", "x")}},
		"private directories that a layer implies": {
			{with(Directory("d"), func(h *tar.Header) { h.Mode, h.Uid, h.Gid = 0o700, 7, 8 })}, {Regular("d/a", "x")},
		},
		"a root directory changed by a lower layer": {{with(Directory("."), func(h *tar.Header) { h.Mode, h.Uid = 0o711, 5 })}, {Regular("a", "x")}},
	}
}

// attributes returns images with unusual names, owners, modes, times and extended attributes.
func attributes() map[string][][]File {
	deep, long, wide := []File{}, []File{}, []File{Directory("wide")}
	for i, path := 0, "deep"; i < 100; i, path = i+1, path+"/d" {
		deep = append(deep, Directory(path))
	}
	for i, path := 0, strings.Repeat("n", 250); i < 12; i, path = i+1, path+"/"+strings.Repeat("n", 250) {
		long = append(long, Directory(path), Regular(path+"/a", "x"))
	}
	for i := range 3000 {
		wide = append(wide, Regular(fmt.Sprintf("wide/%04d", i), "x"))
	}
	// Version 2, then user::rw-, user:7:r--, group::r--, mask::r--, other::--- (linux/posix_acl_xattr.h).
	const acl = "\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x07\x00\x00\x00" +
		"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
	return map[string][][]File{
		"a deep directory":                         {deep},
		"paths of 3,000 bytes":                     {long},
		"names with every byte":                    {{Regular(everyByte(), "x"), Directory("d" + everyByte()), Regular("d"+everyByte()+"/a", "x")}},
		"many files in a directory":                {wide},
		"access control lists":                     {{extended(Regular("a", "x"), "system.posix_acl_access", acl), extended(Directory("d"), "system.posix_acl_default", acl)}},
		"extended attributes of directories":       {{extended(Directory("d"), "user.note", "kept"), Regular("d/a", "x")}},
		"a long extended attribute":                {{extended(Regular("a", "x"), "user.long", strings.Repeat("v", 3000))}},
		"names with control characters":            {{Regular("new\nline", "x"), Regular("tab\t", "x"), Regular("quote\"'\\", "x")}},
		"names with spaces, dashes and dots":       {{Regular("-rf", "x"), Regular(" a ", "x"), Regular("...", "x"), Directory("..d")}},
		"names that differ in case only":           {{Regular("a", "x"), Regular("A", "y")}},
		"long symbolic links":                      {{symbolic("a", strings.Repeat("n/", 900)+"end")}},
		"configuration files with two names":       {{Directory("etc"), Regular("etc/crontab", "x"), hard("etc/other", "etc/crontab")}},
		"configuration linked to a program":        {{Directory("etc"), Directory("usr"), Regular("usr/a", "x"), hard("etc/a", "usr/a")}},
		"files of cron":                            {{Directory("var"), Directory("var/spool"), Directory("var/spool/cron"), with(Regular("var/spool/cron/root", "x"), func(h *tar.Header) { h.Mode = 0o600 })}},
		"files without permissions":                {{with(Regular("a", "x"), func(h *tar.Header) { h.Mode = 0 }), with(Directory("d"), func(h *tar.Header) { h.Mode = 0 })}},
		"set-group-ID directories":                 {{with(Directory("d"), func(h *tar.Header) { h.Mode, h.Gid = 0o2775, 50 }), Regular("d/a", "x")}},
		"block devices":                            {{{Header: tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Mode: 0o660, Devmajor: 8, Devminor: 1}}}},
		"a root directory with attributes":         {{with(Directory("."), func(h *tar.Header) { h.Mode, h.Uid, h.ModTime = 0o711, 5, time.Unix(1e9, 0) }), Regular("a", "x")}},
		"times with nanoseconds and in the future": {{with(Regular("a", "x"), func(h *tar.Header) { h.ModTime, h.Format = time.Unix(4102444800, 123456789), tar.FormatPAX })}},
	}
}

// everyByte returns a name that contains every byte that a file name may contain.
func everyByte() string {
	var name []byte
	for b := 1; b < 256; b++ {
		if b != '/' {
			name = append(name, byte(b))
		}
	}
	return string(name)
}

// hard returns a hard link to a file in the same layer.
func hard(name, target string) File {
	return File{Header: tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeLink}}
}

// symbolic returns a symbolic link.
func symbolic(name, target string) File {
	return File{Header: tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink, Mode: 0o777}}
}

// with returns the file with a changed header.
func with(f File, change func(*tar.Header)) File {
	change(&f.Header)
	return f
}

// extended returns the file with an extended attribute.
func extended(f File, name, value string) File {
	f.Format, f.PAXRecords = tar.FormatPAX, map[string]string{"SCHILY.xattr." + name: value}
	return f
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
