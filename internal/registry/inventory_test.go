package registry_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
	pushing "kind-local-registry/internal/push"
	"kind-local-registry/internal/registry/registrytest"
)

// ours is a running registry, as the pusher and other clients see it.
type ours struct {
	*pushing.Registry

	socket string // the socket's path
	host   string // for clients without the socket
	root   string
}

// startOurs starts a registry with the data directory root.
func startOurs(t *testing.T, root string) ours {
	t.Helper()
	url, socket := registrytest.StartWithSocket(t, root)
	client, err := pushing.NewRegistry(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return ours{client, strings.TrimPrefix(socket, "unix://"), strings.TrimPrefix(url, "http://"), root}
}

// list returns the registry's inventory.
func (o ours) list(t *testing.T) inventory.Inventory {
	t.Helper()
	listed, err := o.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return listed
}

// remove removes the images, unless they were used after since.
func (o ours) remove(t *testing.T, since time.Time, images ...inventory.Reference) inventory.Removed {
	t.Helper()
	removed, err := o.Remove(t.Context(), inventory.Removal{Images: images, UnusedSince: since})
	if err != nil {
		t.Fatal(err)
	}
	return removed
}

// write pushes an image through the socket.
func (o ours) write(t *testing.T, reference string, image v1.Image) inventory.Reference {
	t.Helper()
	err := remote.Write(parse(t, "localhost:5001/"+reference), image, remote.WithContext(t.Context()), remote.WithTransport(o.transport(t)))
	if err != nil {
		t.Fatalf("pushing to %s: %v", reference, err)
	}
	repository, _, _ := strings.Cut(reference, ":")
	return inventory.Reference{Repository: repository, Digest: digest.Digest(digestOf(t, image))}
}

// transport returns a transport that sends every request through the socket.
func (o ours) transport(t *testing.T) http.RoundTripper {
	t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", o.socket)
	}
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// build returns an image that consists of the base and one more layer with random content.
func build(t *testing.T, base v1.Image) v1.Image {
	t.Helper()
	layer, err := random.Layer(1000, "application/vnd.oci.image.layer.v1.tar")
	if err != nil {
		t.Fatal(err)
	}
	built, err := mutate.AppendLayers(base, layer)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// randomImage returns an image with random layers.
func randomImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// blobsOf returns the sorted digests of everything that an image consists of.
func blobsOf(t *testing.T, image v1.Image) []digest.Digest {
	t.Helper()
	config, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	blobs := []digest.Digest{digest.Digest(digestOf(t, image)), digest.Digest(config.String())}
	for _, layer := range mustLayers(t, image) {
		blobs = append(blobs, digest.Digest(digestOf(t, layer)))
	}
	slices.Sort(blobs)
	return blobs
}

func TestInventory_ListsImagesAndBlobs(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	base := randomImage(t)
	first, second := build(t, base), build(t, base)
	before := time.Now().Add(-time.Second)
	old, current, other := o.write(t, "a/b:1", first), o.write(t, "a/b:1", second), o.write(t, "c:x", first)
	o.write(t, "a/b:2", second)
	_, promised := newPromise(t)
	promiseTo(t, "http://"+o.host, promised)

	got := o.list(t)
	want := []inventory.Image{
		{Reference: old, Tags: []string{}, Blobs: blobsOf(t, first)},
		{Reference: current, Tags: []string{"1", "2"}, Blobs: blobsOf(t, second)},
		{Reference: other, Tags: []string{"x"}, Blobs: blobsOf(t, first)},
		{
			Reference: inventory.Reference{Repository: "a/b", Digest: promised.Digest()}, Tags: []string{}, Promised: true,
			Blobs: append(promised.Layers(), promised.Digest(), digest.FromBytes(promised.Config)),
		},
	}
	sorted := cmpopts.SortSlices(func(a, b inventory.Image) bool {
		return a.Repository+a.Digest.String() < b.Repository+b.Digest.String()
	})
	digests := cmpopts.SortSlices(func(a, b digest.Digest) bool { return a < b })
	ignored := cmpopts.IgnoreFields(inventory.Image{}, "LastUsed", "Config")
	if diff := cmp.Diff(want, got.Images, sorted, digests, ignored); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	for _, image := range got.Images {
		if !image.Promised && (image.LastUsed.Before(before) || image.LastUsed.After(time.Now())) {
			t.Errorf("image %s was last used at %s, want a time after %s", image.Digest, image.LastUsed, before)
		}
	}
	blobs := append(blobsOf(t, first), blobsOf(t, second)...)
	slices.Sort(blobs)
	if blobs = slices.Compact(blobs); len(got.Blobs) != len(blobs) {
		t.Errorf("%d blobs, want %d", len(got.Blobs), len(blobs))
	}
	for _, d := range blobs {
		if got.Blobs[d] <= 0 {
			t.Errorf("size of blob %s = %d, want its size", d, got.Blobs[d])
		}
	}
}

func TestInventory_IsServedOnlyOnTheSocket(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	wantStatus(t, "http://"+o.host, "over TCP", http.StatusNotFound,
		"GET "+inventory.Path, "POST "+inventory.RemovePath, "POST "+inventory.VerifyPath)
	tcp, err := pushing.NewRegistry("http://" + o.host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tcp.Close)
	if _, err := tcp.Inventory(t.Context()); err == nil || !strings.Contains(err.Error(), pushing.ErrNoInventory.Error()) {
		t.Errorf("Inventory over TCP = %v, want %v", err, pushing.ErrNoInventory)
	}
}

func TestRemove_FreesWhatNoImageNeeds(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	base := randomImage(t)
	first, second := build(t, base), build(t, base)
	old := o.write(t, "a/b:1", first)
	o.write(t, "a/b:old", first)
	o.write(t, "a/b:1", second)
	sizes := o.list(t).Blobs
	var own int64
	for _, d := range blobsOf(t, first) {
		if !slices.Contains(blobsOf(t, second), d) {
			own += sizes[d]
		}
	}

	removed := o.remove(t, time.Now(), old)

	want := inventory.Removed{Images: []inventory.Reference{old}, Kept: []inventory.Reference{}, Blobs: 3, Bytes: own, Left: o.list(t).Bytes()}
	if diff := cmp.Diff(want, removed); diff != "" {
		t.Errorf("Remove (-want +got):\n%s", diff)
	}
	wantImage(t, o.host+"/a/b:1", second, "after another build was removed")
	for _, reference := range []string{"/a/b:old", "/a/b@" + old.Digest.String()} {
		if _, err := remote.Head(parse(t, o.host+reference), options(t)...); err == nil {
			t.Errorf("%s is still served", reference)
		}
	}
	if again := o.remove(t, time.Now(), old); again.Blobs != 0 || again.Left != removed.Left {
		t.Errorf("Remove again = %+v, want nothing more removed", again)
	}
	wantFiles(t, o.root, old.Digest.Encoded(), 0)

	o.write(t, "a/b:old", first)
	wantImage(t, o.host+"/a/b:old", first, "after it was removed and pushed again")
}

// wantFiles fails the test unless the data directory contains that many files whose path contains part.
func wantFiles(t *testing.T, root, part string, want int) {
	t.Helper()
	var found []string
	for _, file := range files(t, root) {
		if strings.Contains(file, part) {
			found = append(found, file)
		}
	}
	if len(found) != want {
		t.Errorf("files with %s in their path: %q, want %d", part, found, want)
	}
}
