package disk_test

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
)

// damages are the ways to damage a file.
var damages = map[string]func(random *rand.Rand, file string, content []byte) error{
	"deleted": func(_ *rand.Rand, file string, _ []byte) error { return os.Remove(file) },
	"truncated": func(random *rand.Rand, file string, content []byte) error {
		return os.Truncate(file, random.Int64N(int64(len(content))))
	},
	"one bit flipped": func(random *rand.Rand, file string, content []byte) error {
		flipped := slices.Clone(content)
		flipped[random.IntN(len(flipped))] ^= 1 << random.IntN(8)
		return os.WriteFile(file, flipped, 0o600)
	},
}

// TestVerify_FindsAndRepairsRandomDamage damages random files in the registry's data directory, one after another. The host still
// has some of the images.
func TestVerify_FindsAndRepairsRandomDamage(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"overlay2", "vfs"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 0)
			var directory string // Docker's data directory
			if store == "overlay2" {
				directory = t.TempDir()
				e.engine.UseOverlay2(directory)
			}
			gone := e.pushImages(t, directory)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			for range 100 {
				e.damageAndRepair(t, random, gone)
			}
			for _, image := range e.report(t).Images {
				if err := e.pull(t.Context(), registryHost+"/"+image.Repository+"@"+image.Digest.String()); err != nil {
					t.Errorf("after 100 repairs: %v", err)
				}
			}
		})
	}
}

// damageAndRepair damages a random file. It fails the test unless the damage is found, and repaired if the host has the image. gone
// is the repository of the image that the host no longer has.
func (e env) damageAndRepair(t *testing.T, random *rand.Rand, gone string) {
	t.Helper()
	files := e.files(t)
	kinds := []string{"deleted", "one bit flipped", "truncated"}
	file, kind := files[random.IntN(len(files))], kinds[random.IntN(len(kinds))]
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := damages[kind](random, file, content); err != nil {
		t.Fatal(err)
	}
	what := strings.TrimPrefix(file, e.root) + " " + kind
	if verified := e.verify(t, false); len(verified.Broken()) == 0 {
		t.Errorf("%s: nothing found: %+v", what, verified)
	}
	for _, fault := range e.verify(t, true).Broken() {
		if fault.Repository != gone || fault.Detail == "" {
			t.Errorf("%s: not repaired: %+v", what, fault)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if verified := e.verify(t, true); len(verified.Broken()) > 0 {
		t.Fatalf("%s: still broken: %+v", what, verified.Broken())
	}
}

// pushImages builds and pushes images that share a layer. It returns the repository of the only image that the host no longer has.
// If directory is not "", it is Docker's data directory, to which the images are written.
func (e env) pushImages(t *testing.T, directory string) (gone string) {
	t.Helper()
	add := func(reference string, number int) dockertest.Image {
		image := e.build(t, reference, number, 2000)
		if directory != "" {
			dockertest.StoreImage(t, directory, image)
		}
		if _, err := e.service.Push(t.Context(), reference, nil); err != nil {
			t.Fatal(err)
		}
		return image
	}
	for _, name := range []string{"example/a:1", "example/a:2", "ghcr.io/b/c:local", "reg.example:5000/d:x"} {
		add(name, 1)
	}
	e.engine.Remove(add("example/gone:1", 1))
	return "example/gone"
}

// files returns the files of the registry's images.
func (e env) files(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(filepath.Join(e.root, "docker"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("listing the registry's files: %v", err)
	}
	return files
}

// verify verifies the registry.
func (e env) verify(t *testing.T, repair bool) disk.Verified {
	t.Helper()
	verified, err := e.pruner.Verify(t.Context(), repair, func(disk.Step) {})
	if err != nil {
		t.Fatal(err)
	}
	return verified
}

// report returns the pruner's report.
func (e env) report(t *testing.T) disk.Report {
	t.Helper()
	report, err := e.pruner.Report(t.Context(), func(disk.Step) {})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestVerify_RepairsBuildsWithoutATag damages a build that the host still has, although its tag has moved to another build.
func TestVerify_RepairsBuildsWithoutATag(t *testing.T) {
	t.Parallel()
	layer := func(old dockertest.Image, _ string) string { return old.Layers[1].Digest.Encoded() }
	config := func(old dockertest.Image, _ string) string { return old.ID().Encoded() }
	manifest := func(_ dockertest.Image, pushed string) string { return pushed }
	for name, test := range map[string]struct {
		overlay2 bool
		lost     func(old dockertest.Image, pushed string) string // digest of the damaged blob
		repaired bool
	}{
		"its layer":                            {lost: layer, repaired: true},
		"its config":                           {lost: config, repaired: true},
		"its image manifest":                   {lost: manifest, overlay2: true, repaired: true},
		"its image manifest, of unknown sizes": {lost: manifest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 0)
			directory := t.TempDir()
			if test.overlay2 {
				e.engine.UseOverlay2(directory)
			}
			pushBuild := func(number int) (dockertest.Image, string) {
				image := e.build(t, "example/a:1", number, 2000)
				dockertest.StoreImage(t, directory, image)
				result, err := e.service.Push(t.Context(), "example/a:1", nil)
				if err != nil {
					t.Fatal(err)
				}
				return image, result.Digest.Encoded()
			}
			old, pushed := pushBuild(1)
			pushBuild(2)
			hex := test.lost(old, pushed)
			if err := os.Truncate(filepath.Join(e.root, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data"), 3); err != nil {
				t.Fatal(err)
			}
			verified := e.verify(t, true)
			if len(verified.Damaged) != 1 || len(verified.Faults) != 1 || (len(verified.Broken()) == 0) != test.repaired {
				t.Errorf("Verify = %+v, want one fault, repaired: %t", verified, test.repaired)
			}
			current, err := e.registry.Presence(t.Context(), push.Target{Repository: "example/a", Reference: "1"})
			if err != nil || !current.Complete || current.Digest.Encoded() == pushed {
				t.Errorf("the tag refers to %+v (error %v), want the second build still", current, err)
			}
		})
	}
}
