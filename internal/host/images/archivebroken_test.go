package images

import (
	"archive/tar"
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/archive/archivetest"
)

// brokenArchive is an archive, and what the error about it says.
type brokenArchive struct {
	content []byte
	want    string
}

// TestArchivePusher_RefusesBrokenArchives pushes archives that are broken in many ways. Each is refused with the place that is wrong and
// a remedy, and the registry is then as empty as before.
func TestArchivePusher_RefusesBrokenArchives(t *testing.T) {
	t.Parallel()
	tables := []map[string]brokenArchive{brokenFiles(t), brokenEntries(t), brokenLayouts(t), brokenImages(t)}
	count := 0
	for _, table := range tables {
		for what, broken := range table {
			count++
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				w := newArchiveWorld(t)
				pushed, err := w.push(t, "", broken.content)
				if err == nil {
					t.Fatalf("pushed %+v", pushed)
				}
				if !strings.HasPrefix(err.Error(), "app.tar: ") || !strings.Contains(err.Error(), broken.want) || !strings.Contains(err.Error(), "; ") {
					t.Errorf("error %q, want %q, the archive's name and a remedy", err, broken.want)
				}
				w.wantEmpty(t)
			})
		}
	}
	if count < 30 {
		t.Errorf("%d archives, want at least 30", count)
	}
}

// layerName returns the name of an image's large layer in an OCI image layout.
func layerName(image archivetest.Image) string {
	return archivetest.BlobFile(image.Layers[0]).Name
}

// brokenFiles returns archives that are broken as files.
func brokenFiles(t *testing.T) map[string]brokenArchive {
	app := archivetest.New(t, appName, large)
	whole := archivetest.Tar(t, archivetest.Docker(t, app)...)
	packed := archivetest.Gzip(t, whole)
	badSum := slices.Clone(packed)
	badSum[len(badSum)-5] ^= 1
	entries := make([]archivetest.Entry, 100_001)
	for i := range entries {
		entries[i] = archivetest.Entry{Header: tar.Header{Name: "d/", Typeflag: tar.TypeDir}}
	}
	return map[string]brokenArchive{
		"an empty file":                {nil, "app.tar: is empty"},
		"an empty tar":                 {archivetest.Tar(t), "app.tar: is empty"},
		"a text":                       {[]byte(strings.Repeat("no tar", 1000)), "app.tar: is not a tar"},
		"a compressed text":            {archivetest.Zstd(t, []byte(strings.Repeat("no tar", 1000))), "app.tar: is not a tar"},
		"compressed with xz":           {[]byte("\xfd7zXZ\x00…"), "app.tar: is compressed with xz; decompress it"},
		"compressed with bzip2":        {[]byte("BZh91AY"), "app.tar: is compressed with bzip2"},
		"truncated in a layer":         {whole[:len(whole)/2], "/layer.tar: the archive ends in this entry, or is damaged there: it is truncated"},
		"truncated in a header":        {whole[:1124], ".json: the archive cannot be read after this entry: it is truncated"},
		"truncated gzip":               {packed[:len(packed)-20], "it is truncated"},
		"a wrong checksum of gzip":     {badSum, "gzip: invalid checksum"},
		"a damaged header of an entry": {flipped(whole, 1024+20), "the archive cannot be read after this entry: it is not a tar"},
		"two archives in one file":     {append(slices.Clone(whole), whole...), "repositories: the archive goes on after its end"},
		"very many entries":            {archivetest.Tar(t, entries...), "d/: the archive has more than 100000 entries"},
	}
}

// flipped returns data with one byte that differs.
func flipped(data []byte, at int) []byte {
	data = slices.Clone(data)
	data[at] ^= 0xff
	return data
}

// brokenEntries returns archives with entries that must not be in an archive.
func brokenEntries(t *testing.T) map[string]brokenArchive {
	entries := archivetest.Docker(t, archivetest.New(t, appName, large))
	with := func(more ...archivetest.Entry) []byte {
		return archivetest.Tar(t, append(slices.Clone(entries), more...)...)
	}
	linked := func(target string) []byte {
		changed := slices.Clone(entries)
		for i := range changed {
			if strings.HasSuffix(changed[i].Name, "/layer.tar") {
				changed[i] = archivetest.Link(changed[i].Name, target)
			}
		}
		return archivetest.Tar(t, changed...)
	}
	return map[string]brokenArchive{
		"the same entry twice":  {with(archivetest.File("manifest.json", []byte("[]"))), "manifest.json: occurs twice"},
		"a name that leads out": {with(archivetest.File("a/../../etc/passwd", nil)), `a/../../etc/passwd: leads out of the archive to "../etc/passwd"`},
		"an absolute name":      {with(archivetest.File("/etc/passwd", nil)), `/etc/passwd: leads out of the archive`},
		"a link that leads out": {linked("../../../etc/passwd"), `/layer.tar: leads out of the archive to "../../etc/passwd"`},
		"an absolute link":      {linked("/etc/passwd"), `/layer.tar: leads out of the archive`},
		"a link to itself":      {linked("layer.tar"), "/layer.tar: is a link that leads through more than 8 links"},
		"a link to nothing":     {linked("../gone"), "gone: is missing in the archive"},
		"a device":              {with(archivetest.Entry{Header: tar.Header{Name: "sda", Typeflag: tar.TypeBlock}}), "sda: is neither a file"},
		"a sparse file":         {sparse(t, with()), "bomb: is a sparse file"},
		"a very long name":      {with(archivetest.File(strings.Repeat("a/", 3000)+"b", nil)), "the name has more than 4096 bytes"},
		"a document too large":  {with(archivetest.File("index.json", bytes.Repeat([]byte("{"), 5<<20))), "index.json: is too large for a document"},
		"a document too deep":   {with(archivetest.File("index.json", bytes.Repeat([]byte("["), 1<<16))), "index.json: is not the JSON that it should be"},
	}
}

// sparse returns the archive with a GNU sparse file of 8 EiB before its end.
func sparse(t *testing.T, content []byte) []byte {
	t.Helper()
	header := archivetest.Tar(t, archivetest.Entry{Header: tar.Header{Name: "bomb", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatGNU}})[:512]
	header[156] = tar.TypeGNUSparse
	copy(header[386:], "00000000000\x0000000000000\x00")                   // a fragment of no bytes at 0
	copy(header[483:], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff") // the size
	copy(header[148:], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:], []byte{byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
	return append(content[:len(content)-1024:len(content)-1024], append(header, make([]byte, 1024)...)...)
}

// brokenLayouts returns OCI image layouts that are broken.
func brokenLayouts(t *testing.T) map[string]brokenArchive {
	app := archivetest.New(t, appName, large)
	entries := archivetest.Layout(t, app)
	without := func(name string) []byte {
		return archivetest.Tar(t, slices.DeleteFunc(slices.Clone(entries), func(e archivetest.Entry) bool { return e.Name == name })...)
	}
	changed := func(name string, content []byte) []byte {
		all := slices.Clone(entries)
		i := slices.IndexFunc(all, func(e archivetest.Entry) bool { return e.Name == name })
		all[i] = archivetest.File(name, content)
		return archivetest.Tar(t, all...)
	}
	config, manifest := archivetest.BlobFile(app.Config(t)).Name, archivetest.BlobFile(app.Manifest(t)).Name
	index := func(descriptors ...v1.Descriptor) []byte {
		return archivetest.JSON(t, v1.Index{Manifests: descriptors})
	}
	return map[string]brokenArchive{
		"no listing":                     {archivetest.Tar(t, archivetest.File("oci-layout", []byte("{}"))), "contains no images: it has neither index.json nor manifest.json"},
		"an empty listing":               {changed("index.json", index()), "app.tar: contains no images"},
		"a listing that is no JSON":      {changed("index.json", []byte("{")), "index.json: is not the JSON that it should be: unexpected end"},
		"a layer that has changed":       {changed(layerName(app), flipped(app.Layers[0], 600)), layerName(app) + ": content does not match its digest"},
		"a layer of another size":        {changed(layerName(app), app.Layers[0][:len(app.Layers[0])-512]), layerName(app) + ": has "},
		"a config that has changed":      {changed(config, bytes.Replace(app.Config(t), []byte("linux"), []byte("Linux"), 1)), config + ": content does not match its digest"},
		"an image manifest that changed": {changed(manifest, bytes.Replace(app.Manifest(t), []byte("2"), []byte("1"), 1)), manifest + ": content does not match its digest"},
		"no layer":                       {without(layerName(app)), layerName(app) + ": is missing in the archive"},
		"no config":                      {without(config), config + ": is missing in the archive"},
		"no image manifest":              {without(manifest), manifest + ": is missing in the archive"},
		"a digest that is none":          {changed("index.json", index(v1.Descriptor{Digest: "sha256:../../x"})), `index.json: leads to "sha256:../../x", which is not a sha256 digest`},
		"a digest of another algorithm":  {changed("index.json", index(v1.Descriptor{Digest: digest.SHA512.FromString("")})), "which is not a sha256 digest"},
		"very many image manifests":      {changed("index.json", index(slices.Repeat([]v1.Descriptor{archivetest.Describe("", app.Manifest(t))}, 1001)...)), "the archive lists more than 1000"},
	}
}

// brokenImages returns archives of images that nodes could not run.
func brokenImages(t *testing.T) map[string]brokenArchive {
	app := archivetest.New(t, appName, large)
	foreign, nameless, text, mismatch, fewer, typed := app, app, app, app, app, app
	foreign.Architecture, nameless.Name = "s390x", ""
	text.Layers = [][]byte{[]byte(strings.Repeat("no tar", 1000))}
	mismatch.Packed = archivetest.New(t, "", large+"2").Layers
	fewer.Packed = [][]byte{}
	typed = typed.Pack(t, archivetest.Gzip, v1.MediaTypeImageLayer)
	cut := app.Pack(t, archivetest.Gzip, v1.MediaTypeImageLayerGzip)
	cut.Packed = [][]byte{cut.Packed[0][:len(cut.Packed[0])/2]}
	clash := archivetest.New(t, appName, "another")
	pack := func(images ...archivetest.Image) []byte {
		return archivetest.Tar(t, archivetest.Docker(t, images...)...)
	}
	layout := func(images ...archivetest.Image) []byte {
		return archivetest.Tar(t, archivetest.Layout(t, images...)...)
	}
	return map[string]brokenArchive{
		"for another platform":          {pack(foreign), "manifest.json: has an image for linux/s390x, but the nodes run linux/"},
		"for other platforms":           {archivetest.Tar(t, archivetest.Nested(t, foreign, foreign)...), "index.json: has an image for linux/s390x, but the nodes run linux/"},
		"without a name":                {pack(nameless), "the image has no name; name it with --tag"},
		"with a name that is none":      {pack(archivetest.New(t, "Example/APP", large)), `the image's name is "Example/APP"`},
		"two images with one name":      {layout(app, clash), "index.json: has two images with the name example/app:v1 for linux/"},
		"a layer that is no tar":        {pack(text), "/layer.tar: not a layer: it is not a tar"},
		"a layer that is truncated":     {pack(cut), "/layer.tar: not a layer: it is truncated"},
		"layers of another image":       {pack(mismatch), "/layer.tar: does not match the config: its diffID is"},
		"fewer layers than the config":  {pack(fewer), ".json: describes 1 layers, and the image has 0"},
		"no layers":                     {pack(archivetest.New(t, appName)), "without layers, which no node can run"},
		"compressed, but not described": {layout(typed), "is compressed with gzip, but its media type is application/vnd.oci.image.layer.v1.tar"},
		"a config that is another file": {archivetest.Tar(t, archivetest.File("manifest.json", []byte(`[{"Config":"manifest.json","Layers":[]}]`))), "manifest.json: is not the JSON"},
	}
}
