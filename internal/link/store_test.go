package link

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"

	"kind-local-registry/internal/link/linkapi"
)

func TestLink_ViewsEachStoreImageOnce(t *testing.T) {
	t.Parallel()
	e := newStoreEnv(t)
	first, second := e.addNode(t, 2), e.addNode(t, 3)
	diffIDs, chains := e.image(t, "a", "b", "c", "d")
	views := e.store.count("View")
	for _, node := range []*fakeNode{first, second} {
		if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || !got.Complete() {
			t.Errorf("Link to %s = %+v, %v, want a complete image", node.name, got, err)
		}
		wantSnapshots(t, node, chains...)
		e.wantLayers(t, node, chains...)
		wantLeases(t, node, 1)
	}
	if got := views.Load(); got != 1 {
		t.Errorf("views in the daemon's containerd = %d, want 1 for two nodes", got)
	}
	e.wantUntouched(t, len(chains))
}

func TestLink_CommitsNoLayerThatStoreRemoves(t *testing.T) {
	t.Parallel()
	for what, again := range map[string]bool{"removed": false, "unpacked again": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newStoreEnv(t)
			node := e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b")
			got, err := e.linker.Link(t.Context(), node.address, diffIDs, func(files int64) {
				if files != 2*filesPerLayer { // all are linked, and the second layer is not yet committed
					return
				}
				must(t, e.remove(chains[1]))
				if again {
					e.register(t, chains[:1], chains[1])
				}
			})
			if !errors.Is(err, fs.ErrNotExist) || got.Linked != 1 {
				t.Errorf("Link = %+v, %v, want one layer and %v", got, err, fs.ErrNotExist)
			}
			wantSnapshots(t, node, chains[0])
		})
	}
}

func TestLink_FindsLayersThatStoreUnpackedAgain(t *testing.T) {
	t.Parallel()
	e := newStoreEnv(t)
	first, second := e.addNode(t, 2), e.addNode(t, 3)
	diffIDs, chains := e.image(t, "a", "b")
	if _, err := e.linker.Link(t.Context(), first.address, diffIDs, ignore); err != nil {
		t.Fatalf("Link to the first node: %v", err)
	}
	must(t, e.remove(chains...))
	e.image(t, "a", "b")
	if got, err := e.linker.Link(t.Context(), second.address, diffIDs, ignore); err != nil || !got.Complete() {
		t.Errorf("Link after the layers were replaced = %+v, %v, want a complete image", got, err)
	}
	e.wantLayers(t, second, chains...)
	e.wantUntouched(t, len(chains))
}

// TestLink_IgnoresOverlay2DirectoriesBesideStore has an older layer of the overlay2 driver with the same chainID.
func TestLink_IgnoresOverlay2DirectoriesBesideStore(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	diffIDs, _ := e.image(t, "a")
	e.useContainerd(ownSocket)
	e.startStore(t, ownSocket, filepath.Join(e.root, "containerd/daemon"))
	if got, err := e.newLinker(t).Link(t.Context(), node.address, diffIDs, ignore); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Link = %+v, %v, want %v", got, err, fs.ErrNotExist)
	}
	wantSnapshots(t, node)
	e.wantUntouched(t, 0)
}

func TestLink_LeavesNoViewInStoreAfterFailure(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Create", "View", "Stat", "Delete"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			e := newStoreEnv(t)
			node := e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b")
			e.store.refuse(method, codes.Internal)
			got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore)
			if (err == nil) != (method == "Delete") { // the lease then ends later
				t.Errorf("Link = %+v, %v while the daemon's containerd refuses %s", got, err, method)
			}
			e.store.onRequest(nil)
			if method != "Delete" {
				wantSnapshots(t, node)
				e.wantUntouched(t, len(chains))
			}
			if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || !got.Complete() {
				t.Errorf("Link after the failure = %+v, %v, want a complete image", got, err)
			}
			e.wantLayers(t, node, chains...)
		})
	}
}

func TestStore_IsFoundOnTheHost(t *testing.T) {
	t.Parallel()
	const system = "/run/containerd/containerd.sock"
	link := func(t *testing.T, e *env, name, target string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(e.socket(name)), 0o755))
		must(t, os.Symlink(target, e.socket(name)))
	}
	for what, prepare := range map[string]func(t *testing.T, e *env){
		"the daemon's containerd": func(t *testing.T, e *env) {
			t.Helper()
			e.useContainerd(ownSocket)
			e.startStore(t, ownSocket, filepath.Join(e.root, "containerd/daemon"))
		},
		"a path with an absolute symbolic link": func(t *testing.T, e *env) {
			t.Helper()
			e.useContainerd("/var" + ownSocket)
			e.startStore(t, ownSocket, filepath.Join(e.root, "containerd/daemon"))
			link(t, e, "/var/run", "/run")
		},
		"the system's containerd": func(t *testing.T, e *env) {
			t.Helper()
			e.useContainerd(system)
			e.daemon.Info.DockerRootDir = "/var/lib/docker" // beside /var/lib/containerd
			e.startStore(t, system, filepath.Join(filepath.Dir(e.root), "containerd"))
		},
		"the daemon's containerd, not reported": func(t *testing.T, e *env) {
			t.Helper()
			e.useContainerd("")
			e.startStore(t, system, filepath.Join(filepath.Dir(e.root), "containerd")) // has no image
			e.startStore(t, ownSocket, filepath.Join(e.root, "containerd/daemon"))
			link(t, e, "/var/run", "/run")
		},
		"the system's containerd, not reported": func(t *testing.T, e *env) {
			t.Helper()
			e.useContainerd("")
			e.startStore(t, system, filepath.Join(filepath.Dir(e.root), "containerd"))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			prepare(t, e)
			node := e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b")
			if got := e.linker.Check(t.Context(), diffIDs); got != (linkapi.State{}) {
				t.Errorf("Check = %+v, want no reason", got)
			}
			if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || !got.Complete() {
				t.Errorf("Link = %+v, %v, want a complete image", got, err)
			}
			wantSnapshots(t, node, chains...)
			e.wantLayers(t, node, chains...)
			e.wantUntouched(t, len(chains))
		})
	}
}

func TestStore_IsFoundAgainAfterItsRestart(t *testing.T) {
	t.Parallel()
	e := newStoreEnv(t)
	node := e.addNode(t, 2)
	diffIDs, chains := e.image(t, "a", "b")
	if got := e.linker.Check(t.Context(), diffIDs); got != (linkapi.State{}) {
		t.Fatalf("Check before the restart = %+v, want no reason", got)
	}
	stopped := e.store
	stopped.server.Stop()
	if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err == nil {
		t.Errorf("Link while the daemon's containerd is stopped = %+v, want an error", got)
	}
	if got := e.linker.Check(t.Context(), diffIDs); got.Unlinkable != linkapi.StoreUnreachable {
		t.Errorf("Check while the daemon's containerd is stopped = %+v, want %s", got, linkapi.StoreUnreachable)
	}
	e.startStore(t, ownSocket, filepath.Join(e.root, "containerd/other"))
	e.image(t, "a", "b")
	if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || !got.Complete() {
		t.Errorf("Link after the restart = %+v, %v, want a complete image", got, err)
	}
	e.wantLayers(t, node, chains...)
}

func TestStore_GivesReason(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		change func(t *testing.T, e *env, n *fakeNode)
		want   linkapi.Reason
	}{
		"none": {func(*testing.T, *env, *fakeNode) {}, ""},
		"metacopy, which containerd does not use for layers": {func(_ *testing.T, e *env, _ *fakeNode) {
			e.daemon.Info.DriverStatus = append(e.daemon.Info.DriverStatus, [2]string{"Using metacopy", "true"})
		}, ""},
		"another snapshotter": {func(_ *testing.T, e *env, _ *fakeNode) { e.daemon.Info.Driver = "stargz" }, linkapi.StorageDriver},
		"userns-remap": {func(_ *testing.T, e *env, _ *fakeNode) {
			e.daemon.Info.SecurityOptions = []string{"name=userns"}
		}, linkapi.RemappedUsers},
		"directories that only / contains": {func(_ *testing.T, e *env, _ *fakeNode) {
			e.daemon.Info.Containerd.Address, e.daemon.Info.DockerRootDir = "/run/containerd/containerd.sock", "/data"
		}, linkapi.OtherFileSystem},
		"a containerd that stopped": {func(_ *testing.T, e *env, _ *fakeNode) { e.store.server.Stop() }, linkapi.StoreUnreachable},
		"a containerd that refuses": {func(_ *testing.T, e *env, _ *fakeNode) {
			e.store.refuse("Plugins", codes.PermissionDenied)
		}, linkapi.StoreUnreachable},
		"a containerd without overlayfs": {func(_ *testing.T, e *env, _ *fakeNode) { e.store.directories = "" }, linkapi.StoreUnreachable},
		"a containerd on another file system": {func(t *testing.T, e *env, _ *fakeNode) {
			t.Helper()
			e.store.directories = elsewhere(t)
			e.image(t, "a")
		}, linkapi.OtherFileSystem},
		"layers that the linker does not reach": {func(t *testing.T, e *env, _ *fakeNode) {
			t.Helper()
			e.store.directories = "/does/not/exist"
			e.store.hostPath = func(name string) string { return filepath.Join(e.root, name) }
			e.image(t, "a")
		}, linkapi.OtherFileSystem},
		"a layer in another namespace": {func(t *testing.T, e *env, _ *fakeNode) {
			t.Helper()
			e.store.namespace, e.daemon.Info.Containerd.Namespaces.Containers = "other", "other"
		}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newStoreEnv(t)
			node := e.addNode(t, 2)
			diffIDs, _ := e.image(t, "a")
			test.change(t, e, node)
			got := e.linker.Check(t.Context(), diffIDs)
			if got.Unlinkable != test.want || (got.Detail == "") != (test.want == "") {
				t.Errorf("Check with %s = %+v, want reason %q with a detail", what, got, test.want)
			}
			nodes, err := e.linker.Nodes(t.Context())
			if err != nil || len(nodes) != 1 || nodes[0].State != got {
				t.Errorf("Nodes = %+v, %v, want the image's %+v", nodes, err, got)
			}
			left, err := filepath.Glob(filepath.Join(e.store.directories, ".kind-local-registry-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("test links left = %q, %v, want none", left, err)
			}
		})
	}
}

func TestCheck_NeedsEveryLayerInStore(t *testing.T) {
	t.Parallel()
	e := newStoreEnv(t)
	e.addNode(t, 2)
	diffIDs, chains := e.image(t, "a", "b", "c")
	must(t, e.remove(chains[2]))
	e.store.add(chains[2].String(), chains[1].String(), fakeSnapshot{kind: snapshotsapi.Kind_ACTIVE}) // still being unpacked
	got := e.linker.Check(t.Context(), diffIDs)
	if got.Unlinkable != linkapi.LayerMissing || !strings.Contains(got.Detail, chains[2].String()) {
		t.Errorf("Check = %+v, want %s of the third layer", got, linkapi.LayerMissing)
	}
	if got := e.linker.Check(t.Context(), diffIDs[:2]); got != (linkapi.State{}) {
		t.Errorf("Check of the other layers = %+v, want no reason", got)
	}
}
