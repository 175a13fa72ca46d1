package link

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kind-local-registry/internal/link/linkapi"
)

// TestPresent_CountsOnlyCommittedSnapshots uses a chainID as the key of a snapshot that is still being filled, as an unpacker
// may.
func TestPresent_CountsOnlyCommittedSnapshots(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	_, chains := e.image(t, "a", "b", "c")
	node.add(chains[0].String(), "", fakeSnapshot{kind: snapshotsapi.Kind_COMMITTED})
	node.add(chains[1].String(), chains[0].String(), fakeSnapshot{kind: snapshotsapi.Kind_ACTIVE})
	target, err := e.linker.nodes.at(t.Context(), node.address)
	must(t, err)
	if got, err := target.present(t.Context(), chains); err != nil || got != 1 {
		t.Errorf("present = %d, %v, want 1", got, err)
	}
}

func TestLink_SucceedsIfLayerWasCommittedMeanwhile(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	diffIDs, chains := e.image(t, "a", "b")
	var once sync.Once
	node.onRequest(func(_ context.Context, method string) error {
		if method == "Commit" {
			once.Do(func() { node.add(chains[0].String(), "", fakeSnapshot{kind: snapshotsapi.Kind_COMMITTED}) })
		}
		return nil
	})
	got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore)
	if err != nil || got.Linked != 2 {
		t.Errorf("Link = %+v, %v, want two layers", got, err)
	}
	wantSnapshots(t, node, chains...)
	e.wantLayers(t, node, chains[1])
}

func TestLink_TakesLayersFromOtherNode(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, e *env) {
		first, second := e.addNode(t, 2), e.addNode(t, 3)
		diffIDs, chains := e.image(t, "a", "b", "c")
		if _, err := e.linker.Link(t.Context(), first.address, diffIDs, ignore); err != nil {
			t.Fatalf("Link to the first node: %v", err)
		}
		must(t, e.remove(chains...))
		got, err := e.linker.Link(t.Context(), second.address, diffIDs, ignore)
		want := linkapi.Result{Node: second.name, Layers: 3, Linked: 3, Files: 3 * filesPerLayer}
		if err != nil || got != want {
			t.Errorf("Link to the second node = %+v, %v, want %+v", got, err, want)
		}
		for _, chain := range chains {
			_, from, _ := first.find(chain.String())
			_, to, _ := second.find(chain.String())
			wantSame(t, from, to)
			wantInode(t, from, to, "app", true)
		}
		wantSnapshots(t, first, chains...) // no view is left
		wantSnapshots(t, second, chains...)
		wantLeases(t, first, 1) // no lease of a view is left
		wantLeases(t, second, 1)
	})
}

func TestLink_PassesOverNodesWithoutTheLayer(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	e.addNode(t, 3).refuse("Stat", codes.Internal)
	e.addNode(t, 4).refuse("View", codes.Internal)
	e.daemon.Containers["kind-worker4"].Mounts = nil
	diffIDs, chains := e.image(t, "a")
	must(t, e.remove(chains...))
	if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Link of a layer that neither Docker nor a node has = %+v, %v, want %v", got, err, fs.ErrNotExist)
	}
	wantSnapshots(t, node)
}

func TestLink_ReturnsErrorIfContainerdStops(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	diffIDs, chains := e.image(t, "a")
	node.onRequest(func(ctx context.Context, method string) error {
		if method == "Commit" {
			go node.server.Stop() // it ends ctx, and waits for this request
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err == nil || got.Linked != 0 {
		t.Errorf("Link = %+v, %v, want an error", got, err)
	}
	if _, _, has := node.find(chains[0].String()); has {
		t.Error("the layer is committed")
	}
	wantLeases(t, node, 1) // containerd removes the snapshot when the lease ends
}

func TestLink_RefusesDirectoriesThatOnlyNodeReaches(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	node.container.Mounts = nil
	diffIDs, _ := e.image(t, "a")
	if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); !errors.Is(err, errNotOnVolume) {
		t.Errorf("Link = %+v, %v, want %v", got, err, errNotOnVolume)
	}
	wantSnapshots(t, node)
}

func TestLink_ReturnsErrNoNodeForOtherAddresses(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.addNode(t, 2)
	e.daemon.AddContainer("other", nil).State.Pid = 9
	diffIDs, _ := e.image(t, "a")
	for _, address := range []string{"172.18.0.99", "172.18.0.9", "", "invalid IP", "kind-worker2"} {
		got, err := e.linker.Link(t.Context(), address, diffIDs, ignore)
		if want := (linkapi.Result{Layers: 1}); !errors.Is(err, ErrNoNode) || got != want {
			t.Errorf("Link to %q = %+v, %v, want %+v and %v", address, got, err, want, ErrNoNode)
		}
	}
}

func TestLink_FindsNodeThatWasAddedLater(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	diffIDs, chains := e.image(t, "a")
	for id := 2; id < 5; id++ {
		node := e.addNode(t, id) // the list without it is cached
		if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || got.Node != node.name {
			t.Errorf("Link = %+v, %v, want node %s", got, err, node.name)
		}
		wantSnapshots(t, node, chains...)
	}
}

func TestLink_FindsNodeAgainAfterItsRestart(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node, restarted := e.addNode(t, 2), e.addNode(t, 3)
	diffIDs, chains := e.image(t, "a", "b")
	delete(e.daemon.Containers, restarted.name)
	if _, err := e.linker.Link(t.Context(), node.address, diffIDs[:1], ignore); err != nil {
		t.Fatalf("Link before the restart: %v", err)
	}
	node.server.Stop()
	node.container.State.Pid, node.container.Mounts = restarted.container.State.Pid, restarted.container.Mounts
	if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); status.Code(errors.Unwrap(errors.Unwrap(err))) != codes.Unavailable {
		t.Errorf("Link to the old process = %+v, %v, want %v", got, err, codes.Unavailable)
	}
	if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || !got.Complete() {
		t.Errorf("Link to the new process = %+v, %v, want a complete image", got, err)
	}
	wantSnapshots(t, restarted, chains...)
}
