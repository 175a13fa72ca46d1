package registry_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
)

// verify verifies all blobs and images, and repairs links if repair is true.
func (o ours) verify(t *testing.T, repair bool) inventory.Checked {
	t.Helper()
	checked, err := o.Verify(t.Context(), inventory.Check{Blobs: true, Repair: repair}, func(inventory.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	return checked
}

// unrepaired returns the faults that the registry has not repaired.
func unrepaired(faults []inventory.Fault) []inventory.Fault {
	return slices.DeleteFunc(slices.Clone(faults), func(f inventory.Fault) bool { return f.Repaired })
}

// TestVerify_FindsDamageToAnyFile damages the files in the data directory one at a time, in each of several ways.
func TestVerify_FindsDamageToAnyFile(t *testing.T) {
	t.Parallel()
	for kind, damage := range damages() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := startOurs(t, t.TempDir())
			base := randomImage(t)
			first, second := build(t, base), build(t, base)
			o.write(t, "a/b:1", first)
			o.write(t, "a/b:1", second) // the first build has no tag any more
			o.write(t, "c:2", first)
			_, promised := newPromise(t)
			promiseTo(t, "http://"+o.host, promised)
			if checked := o.verify(t, false); len(checked.Damaged)+len(checked.Faults) > 0 || checked.Blobs != len(o.list(t).Blobs) {
				t.Fatalf("Verify of an intact registry = %+v", checked)
			}
			for _, file := range files(t, o.root) {
				o.wantFound(t, file, damage)
			}
			for reference, image := range map[string]v1.Image{"a/b:1": second, "c:2": first, "a/b@" + digestOf(t, first): first} {
				wantImage(t, o.host+"/"+reference, image, "after every file was damaged and repaired")
			}
		})
	}
}

// wantFound damages a file, and fails the test unless the registry finds the damage. If the file is a blob, wantFound writes the
// blob again; the registry must repair any other file by itself.
func (o ours) wantFound(t *testing.T, file string, damage func(name string) error) {
	t.Helper()
	path := filepath.Join(o.root, file)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := damage(path); err != nil {
		t.Fatalf("damaging %s: %v", file, err)
	}
	checked := o.verify(t, false)
	if len(unrepaired(checked.Faults)) == 0 {
		t.Errorf("Verify with %s damaged = %+v, want a fault", file, checked)
	}
	if strings.HasSuffix(file, "/data") {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	} else if faults := unrepaired(o.verify(t, true).Faults); len(faults) > 0 {
		t.Errorf("Verify with %s damaged has not repaired %+v", file, faults)
	}
	if checked := o.verify(t, false); len(checked.Faults)+len(checked.Damaged) > 0 {
		t.Errorf("Verify after the repair of %s = %+v, want no fault", file, checked)
	}
}

func TestVerify_NamesTheImagesThatLostBlobs(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	base := randomImage(t)
	first, second := build(t, base), build(t, base)
	a, b := o.write(t, "a:1", first), o.write(t, "b:2", second)
	o.write(t, "c:3", randomImage(t))
	lost := digest.Digest(digestOf(t, mustLayers(t, base)[0]))
	hex := lost.Encoded()
	if err := os.Truncate(filepath.Join(o.root, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data"), 5); err != nil {
		t.Fatal(err)
	}
	checked := o.verify(t, true)
	if !slices.Equal(checked.Damaged, []digest.Digest{lost}) {
		t.Errorf("damaged blobs = %v, want %s", checked.Damaged, lost)
	}
	var got []string
	for _, fault := range checked.Faults {
		if fault.Problem != inventory.BlobsLost || !slices.Equal(fault.Missing, checked.Damaged) || fault.Config == "" {
			t.Errorf("fault %+v, want a lost layer", fault)
		}
		got = append(got, fault.Repository+":"+strings.Join(fault.Tags, ",")+"@"+fault.Digest.String())
	}
	slices.Sort(got)
	if want := []string{"a:1@" + a.Digest.String(), "b:2@" + b.Digest.String()}; !slices.Equal(got, want) {
		t.Errorf("faulty images = %q, want %q", got, want)
	}
}

func TestVerify_ReportsATagWhoseImageIsUnknown(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	o.write(t, "a:1", randomImage(t))
	tag := filepath.Join(o.root, "docker/registry/v2/repositories/a/_manifests/tags/1")
	if err := os.RemoveAll(filepath.Join(tag, "index")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(tag, "current/link"), 0); err != nil {
		t.Fatal(err)
	}
	faults := o.verify(t, true).Faults
	if len(faults) != 1 || faults[0].Problem != inventory.TagLost || !slices.Equal(faults[0].Tags, []string{"1"}) {
		t.Errorf("faults = %+v, want the lost tag a:1", faults)
	}
}

// TestVerify_RepairsATagAfterItsHistory damages the link to a tag's older build first, and then the tag itself.
func TestVerify_RepairsATagAfterItsHistory(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	first, second := randomImage(t), randomImage(t)
	old := o.write(t, "a:1", first)
	o.write(t, "a:1", second)
	tag := filepath.Join(o.root, "docker/registry/v2/repositories/a/_manifests/tags/1")
	for _, link := range []string{"index/sha256/" + old.Digest.Encoded() + "/link", "current/link"} {
		if err := os.Remove(filepath.Join(tag, link)); err != nil {
			t.Fatal(err)
		}
		if faults := o.verify(t, true).Faults; len(faults) != 1 || !faults[0].Repaired {
			t.Errorf("faults after %s was removed = %+v, want one that is repaired", link, faults)
		}
	}
	wantImage(t, o.host+"/a:1", second, "after its history and the tag were repaired")
}

func TestVerify_ReportsProgress(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	for range 5 + rand.IntN(5) {
		o.write(t, "a:1", randomImage(t))
	}
	var last inventory.Progress
	checked, err := o.Verify(t.Context(), inventory.Check{Blobs: true}, func(p inventory.Progress) { last = p })
	if err != nil {
		t.Fatal(err)
	}
	if want := o.list(t).Bytes(); checked.Bytes != want || last.Total != want || last.Bytes <= 0 || last.Bytes > want {
		t.Errorf("Verify = %d bytes, the last progress %+v, want %d bytes", checked.Bytes, last, want)
	}
}
