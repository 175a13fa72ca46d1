package registry_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
	"kind-local-registry/internal/registry/registrytest"
)

func TestRemove_KeepsPromisesAndTheirLayers(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	image, promised := newPromise(t)
	promiseTo(t, "http://"+o.host, promised)
	old := o.write(t, "old:1", image) // has the promised layers

	if removed := o.remove(t, time.Now(), old); len(removed.Images) != 1 || removed.Blobs != 0 {
		t.Errorf("Remove = %+v, want the image removed, and no promised blob", removed)
	}

	wantPromises(t, "http://"+o.host, o.root, "after the removal", promised)
	wantStatus(t, "http://"+o.host, "promised", http.StatusOK, "GET /v2/a/b/manifests/"+promised.Digest().String())
	withdraw(t, "http://"+o.host, promised.Repository, promised.Digest().String())
	if removed := o.remove(t, time.Now()); removed.Blobs != 4 {
		t.Errorf("Remove after the promise has ended = %+v, want 4 blobs removed", removed)
	}
}

// TestRemove_RemovesEveryLayerAfterAPull promises an image, pushes it through the socket, and pulls it. TCP requests of this test come
// from an address that may push. Nevertheless a pull, unlike a HEAD request, must not make the registry keep a layer.
func TestRemove_RemovesEveryLayerAfterAPull(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	image, promised := newPromise(t)
	promiseTo(t, "http://"+o.host, promised)
	d := promised.Digest().String()
	wantStatus(t, "http://"+o.host, "before the push", http.StatusOK, "GET /v2/a/b/manifests/"+d)
	pushed := o.write(t, "a/b:1", image)
	wantImage(t, o.host+"/a/b@"+d, image, "after the push")

	awaitRemoved(t, o, pushed)

	if left := o.list(t); len(left.Blobs)+len(left.Relied) > 0 {
		t.Errorf("after the removal, the registry has %v, and clients rely on %v, want nothing", left.Blobs, left.Relied)
	}
}

func TestRemove_RemovesAnIndexWithItsImages(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	own, tagged, shared := randomImage(t), randomImage(t), randomImage(t)
	index := func(images ...v1.Image) v1.ImageIndex {
		made := v1.ImageIndex(empty.Index)
		for _, image := range images {
			made = mutate.AppendManifests(made, mutate.IndexAddendum{Add: image})
		}
		return made
	}
	first, second := index(own, tagged, shared), index(shared)
	for tag, pushed := range map[string]v1.ImageIndex{"first": first, "second": second} {
		if err := remote.WriteIndex(parse(t, o.host+"/a:"+tag), pushed, options(t)...); err != nil {
			t.Fatal(err)
		}
	}
	o.write(t, "a:tagged", tagged)
	if listed := o.list(t); len(listed.Images) != 3 {
		t.Errorf("%d images, want the two indexes and the image with a tag: %+v", len(listed.Images), listed.Images)
	}

	o.remove(t, time.Now(), inventory.Reference{Repository: "a", Digest: digest.Digest(digestOf(t, first))})

	wantImage(t, o.host+"/a:tagged", tagged, "after an index with it was removed")
	wantImage(t, o.host+"/a@"+digestOf(t, shared), shared, "after another index with it was removed")
	wantStatus(t, "http://"+o.host, "after the index was removed", http.StatusNotFound,
		"GET /v2/a/manifests/first", "GET /v2/a/manifests/"+digestOf(t, own))
}

func TestRemove_KeepsLayersOfUnreadableImages(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	image, other := randomImage(t), randomImage(t)
	damaged, old := o.write(t, "a:1", image), o.write(t, "b:1", other)
	file := filepath.Join(o.root, "docker/registry/v2/blobs/sha256", damaged.Digest.Encoded()[:2], damaged.Digest.Encoded(), "data")
	if err := os.Truncate(file, 10); err != nil {
		t.Fatal(err)
	}
	if removed := o.remove(t, time.Now(), old); removed.Blobs != 4 {
		t.Errorf("Remove = %+v, want only the other image's 4 blobs removed", removed)
	}
	pushMissing(t, o.host+"/a:1", image)
	wantImage(t, o.host+"/a:1", image, "after its manifest was damaged and pushed again")
}

func TestRemove_RefusesInvalidReferences(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	image := randomImage(t)
	kept := o.write(t, "a:1", image)
	for _, invalid := range []inventory.Reference{
		{},
		{Repository: "a"},
		{Digest: kept.Digest},
		{Repository: "../a", Digest: kept.Digest},
		{Repository: "a", Digest: "sha256:../../x"},
		{Repository: "a/..", Digest: kept.Digest},
		{Repository: "a", Digest: digest.Digest("sha512:" + kept.Digest.Encoded())},
	} {
		if _, err := o.Remove(t.Context(), inventory.Removal{Images: []inventory.Reference{invalid}, UnusedSince: time.Now()}); err == nil {
			t.Errorf("Remove(%+v): no error", invalid)
		}
	}
	wantImage(t, o.host+"/a:1", image, "after invalid removals")
}

func TestNew_DeletesWhatAnInterruptedRemovalLeft(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	trash := filepath.Join(root, "trash")
	if err := os.MkdirAll(trash, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(trash, "blob"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	registrytest.Start(t, root)
	if _, err := os.Stat(trash); !os.IsNotExist(err) {
		t.Errorf("the trash is still there (error %v)", err)
	}
}
