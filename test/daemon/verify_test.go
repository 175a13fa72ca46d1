//go:build daemon

package daemon

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/config"
	"kind-local-registry/internal/disk"
	hostdisk "kind-local-registry/internal/host/disk"
	"kind-local-registry/test/dockerd"
	"kind-local-registry/test/testimage"
)

// lostRepository is the repository of an image that the host no longer has.
const lostRepository = "verify/lost"

// volume is the volume of setup's registry. The host has all of its images but one.
type volume struct {
	*setupHost

	root   string // the directory of the registry's files
	disk   *hostdisk.Disk
	random *rand.Rand
}

// TestVerify_FindsAndRepairsRandomDamage damages random files in the volume of setup's registry: one file at a time, and then several blobs
// at once. setup verify must find the damage, and repair it if the host has the image. In the end, each file must be as before. E2E_FULL
// makes it 100 files and 20 times several blobs. To repeat an earlier run, set E2E_SEED to the seed in that run's log.
func TestVerify_FindsAndRepairsRandomDamage(t *testing.T) {
	single, several := count(10, 100), count(2, 20)
	archive := ownImages(t)
	for _, store := range []dockerd.Store{dockerd.Overlay2, dockerd.Containerd} {
		t.Run(string(store), func(t *testing.T) {
			v := newVolume(t, newHost(t, archive, store, nil))
			intact := v.files(t)
			files := slices.Sorted(maps.Keys(intact))
			for range single {
				v.damageAndRepair(t, intact, files[v.random.IntN(len(files))])
			}
			blobs := slices.DeleteFunc(files, func(file string) bool { return !strings.HasPrefix(file, "blobs/") })
			for range several {
				v.random.Shuffle(len(blobs), func(i, j int) { blobs[i], blobs[j] = blobs[j], blobs[i] })
				v.damageAndRepair(t, intact, blobs[:2+v.random.IntN(5)]...)
			}
			t.Logf("%d files damaged one at a time, and %d times several blobs at once, of %d files", single, several, len(intact))
		})
	}
}

// newVolume starts setup's registry and pusher, and pushes images. All images share a layer.
func newVolume(t *testing.T, h *setupHost) *volume {
	t.Helper()
	h.up(t)
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("E2E_SEED"), strconv.FormatUint(rand.Uint64(), 10)), 10, 64)
	if err != nil {
		t.Fatalf("reading E2E_SEED: %v", err)
	}
	t.Logf("random damage: E2E_SEED=%d", seed)
	for _, reference := range []string{"verify/a:1", "verify/a:2", "ghcr.io/verify/b:local"} {
		h.pushBuild(t, reference, "a build")
	}
	h.pushBuild(t, "verify/moved:1", "first build") // the registry has no tag for it in the end, but the host has one
	h.tag(t, "verify/moved:1", "elsewhere/first:1")
	h.pushBuild(t, "verify/moved:1", "second build")
	h.pushBuild(t, lostRepository+":1", "a build")
	if _, err := h.API.ImageRemove(t.Context(), lostRepository+":1", client.ImageRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	found, err := h.API.VolumeInspect(t.Context(), config.RegistryContainer, client.VolumeInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v := &volume{
		setupHost: h, root: filepath.Join(found.Volume.Mountpoint, "docker/registry/v2"),
		disk: h.open(t).Disk(), random: rand.New(rand.NewPCG(seed, 0)),
	}
	if verified := v.verify(t, false); len(verified.Faults)+len(verified.Damaged) > 0 || verified.Blobs == 0 {
		t.Fatalf("setup verify of an intact registry finds %+v", verified)
	}
	return v
}

// pushBuild loads an image with a layer of its own, and pushes it. The pusher may still be starting.
func (h *setupHost) pushBuild(t *testing.T, reference, build string) {
	t.Helper()
	layer := func(text string) []byte {
		return testimage.Layer(t, []testimage.File{testimage.Regular(digest.FromString(text).Encoded(), strings.Repeat(text, 1000))})
	}
	image := testimage.Image(t, layer("the layer that all images share"), layer(reference+" "+build))
	h.Load(t, bytes.NewReader(saveArchive(t, image, reference)))
	await(t, func() error { return h.push(t, reference) })
}

// files returns the digests of the files in the volume, by their paths below root. It ignores uploads.
func (v *volume) files(t *testing.T) map[string]digest.Digest {
	t.Helper()
	found := map[string]digest.Digest{}
	err := filepath.WalkDir(v.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.Contains(path, "/_uploads/") {
			return err
		}
		content, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, v.root+"/")] = digest.FromBytes(content)
		return err
	})
	if err != nil || len(found) < 40 {
		t.Fatalf("the volume has %d files (error %v), want more", len(found), err)
	}
	return found
}

// damageAndRepair damages the files, and checks that setup verify finds the damage, and repairs it if the host has the image.
func (v *volume) damageAndRepair(t *testing.T, intact map[string]digest.Digest, files ...string) {
	t.Helper()
	var done []string
	contents := map[string][]byte{}
	for _, file := range files {
		how, content := v.damage(t, file)
		done, contents[file] = append(done, file+" "+how), content
	}
	what := strings.Join(done, ", ")
	found := v.verify(t, false)
	if len(found.Broken()) == 0 || len(files) == 1 && !names(found, files[0]) {
		t.Errorf("setup verify with %s finds %+v, want the damage", what, found)
	}
	v.repair(t, what, contents)
	if again := v.verify(t, false); len(again.Faults)+len(again.Damaged) > 0 {
		t.Fatalf("after %s was repaired, setup verify finds %+v", what, again)
	}
	await(t, func() error { // the pusher may be pushing a rebuilt image
		if diff := gocmp.Diff(intact, v.files(t)); diff != "" {
			return errors.New("after " + what + " was repaired, the files (-before +after) are:\n" + diff)
		}
		return nil
	})
}

// repair repairs the registry as setup verify --repair does. If that cannot repair the image that the host no longer has, repair writes the
// contents of the damaged files again.
func (v *volume) repair(t *testing.T, what string, contents map[string][]byte) {
	t.Helper()
	broken := v.verify(t, true).Broken()
	for _, fault := range broken {
		if fault.Repository != lostRepository || fault.Detail == "" {
			t.Errorf("setup verify --repair with %s has not repaired %+v", what, fault)
		}
	}
	if len(broken) == 0 {
		return
	}
	for file, content := range contents {
		if err := os.WriteFile(filepath.Join(v.root, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// damage deletes or truncates the file, or flips one of its bits. It returns which of them it did, and the intact content.
func (v *volume) damage(t *testing.T, file string) (how string, content []byte) {
	t.Helper()
	path := filepath.Join(v.root, file)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch v.random.IntN(3) {
	case 0:
		how, err = "deleted", os.Remove(path)
	case 1:
		how, err = "truncated", os.Truncate(path, v.random.Int64N(int64(len(content))))
	default:
		flipped := slices.Clone(content)
		flipped[v.random.IntN(len(flipped))] ^= 1 << v.random.IntN(8)
		how, err = "with one bit flipped", os.WriteFile(path, flipped, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return how, content
}

// names reports whether the result names the damaged file: a blob by its digest, and a link by its repository and its tag or digest.
func names(found disk.Verified, file string) bool {
	isIn := func(d digest.Digest) bool { return d != "" && strings.Contains(file, "/"+d.Encoded()+"/") }
	return slices.ContainsFunc(found.Damaged, isIn) || slices.ContainsFunc(found.Faults, func(fault disk.Fault) bool {
		if !strings.HasPrefix(file, "blobs/") && !strings.HasPrefix(file, "repositories/"+fault.Repository+"/_") {
			return false
		}
		return isIn(fault.Digest) || slices.ContainsFunc(fault.Missing, isIn) ||
			slices.ContainsFunc(fault.Tags, func(tag string) bool { return strings.Contains(file, "/tags/"+tag+"/") })
	})
}

// verify verifies the registry as setup verify does.
func (v *volume) verify(t *testing.T, repair bool) disk.Verified {
	t.Helper()
	verified, err := v.disk.Verify(t.Context(), repair, func(disk.Step) {})
	if err != nil {
		t.Fatalf("setup verify: %v", err)
	}
	return verified
}
