package link

import (
	"errors"
	"slices"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unlink breaks the layers, and removes them from the nodes. It returns the number of layers removed by node, and the last error.
func (e *env) unlink(t *testing.T, diffIDs []digest.Digest) (removed map[string]int, err error) {
	t.Helper()
	must(t, e.linker.Break(diffIDs))
	removed = map[string]int{}
	e.linker.Unlink(t.Context(), diffIDs, func(node string, layers int, failed error) { removed[node], err = layers, failed })
	return removed, err
}

func TestUnlink_RemovesLayerWithAllAboveIt(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node, other, without := e.addNode(t, 2), e.addNode(t, 3), e.addNode(t, 4)
	diffIDs, chains := e.image(t, "a", "b", "c")
	sibling, siblings := e.image(t, "a", "b", "d")
	for _, n := range []*fakeNode{node, other} {
		for _, image := range [][]digest.Digest{diffIDs, sibling} {
			if _, err := e.linker.Link(t.Context(), n.address, image, ignore); err != nil {
				t.Fatalf("Link: %v", err)
			}
		}
		n.addImage("localhost:5001/image@sha256:1", chains[2])
		n.addImage("localhost:5001/broken@sha256:2", chains[1])
		n.addImage("localhost:5001/sibling@sha256:3", siblings[2])
		n.addImage("localhost:5001/base@sha256:4", chains[0])
	}
	removed, err := e.unlink(t, diffIDs[:2])
	want := map[string]int{node.name: 3, other.name: 3}
	if diff := cmp.Diff(want, removed); diff != "" || err != nil {
		t.Errorf("Unlink: error %v, layers removed (-want +got):\n%s", err, diff)
	}
	wantSnapshots(t, without)
	for _, n := range []*fakeNode{node, other} {
		wantSnapshots(t, n, chains[0])
		if got, want := n.imageNames(), []string{"localhost:5001/base@sha256:4"}; !slices.Equal(got, want) {
			t.Errorf("images on %s = %q, want %q", n.name, got, want)
		}
	}
}

func TestUnlink_KeepsPulledLayers(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	diffIDs, chains := e.image(t, "a", "b")
	node.add(chains[0].String(), "", fakeSnapshot{kind: snapshotsapi.Kind_COMMITTED})
	if _, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil {
		t.Fatalf("Link: %v", err)
	}
	node.addImage("localhost:5001/image@sha256:1", chains[1])
	if removed, err := e.unlink(t, diffIDs[:1]); err != nil || len(removed) > 0 {
		t.Errorf("Unlink of a pulled layer = %v, %v, want nothing", removed, err)
	}
	wantSnapshots(t, node, chains...)
	if got := node.imageNames(); len(got) != 1 {
		t.Errorf("images = %q, want the one that there was", got)
	}
}

// TestLink_RemovesBrokenLayersThatAreNoLongerUsed covers layers that a container uses when they break.
func TestLink_RemovesBrokenLayersThatAreNoLongerUsed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	diffIDs, chains := e.image(t, "a", "b")
	if _, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil {
		t.Fatalf("Link: %v", err)
	}
	node.addImage("localhost:5001/image@sha256:1", chains[1])
	node.add("container", chains[1].String(), fakeSnapshot{kind: snapshotsapi.Kind_ACTIVE})
	removed, err := e.unlink(t, diffIDs)
	if status.Code(err) != codes.FailedPrecondition || removed[node.name] != 0 {
		t.Errorf("Unlink = %v, %v, want no layer removed and %v", removed, err, codes.FailedPrecondition)
	}
	if _, _, has := node.find(chains[1].String()); !has || len(node.imageNames()) != 0 {
		t.Errorf("layer of the container is on the node: %v, images %q; want the layer, and no image", has, node.imageNames())
	}
	must(t, node.remove("container"))
	if _, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); !errors.Is(err, errBroken) {
		t.Errorf("Link = %v, want %v", err, errBroken)
	}
	wantSnapshots(t, node, chains[0])
}

func TestUnlink_ReturnsErrorsOfNodes(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	diffIDs, chains := e.image(t, "a")
	if _, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil {
		t.Fatalf("Link: %v", err)
	}
	node.addImage("localhost:5001/image@sha256:1", chains[0])
	for _, method := range []string{"Stat", "List", "Delete", "Remove"} {
		node.refuse(method, codes.Internal)
		if _, err := e.unlink(t, diffIDs); status.Code(err) != codes.Internal {
			t.Errorf("Unlink if the node refuses %s = %v, want %v", method, err, codes.Internal)
		}
	}
	wantSnapshots(t, node, chains...)
	if names := node.imageNames(); len(names) != 0 { // so that the kubelet does not use an image without its layers
		t.Errorf("images when its layers could not be removed = %q, want none", names)
	}
}
