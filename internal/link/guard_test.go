package link

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"kind-local-registry/internal/link/linkapi"
)

// wantEmpty fails the test unless the directories are empty.
func wantEmpty(t *testing.T, directories ...string) {
	t.Helper()
	for _, directory := range directories {
		if entries, err := os.ReadDir(directory); err != nil || len(entries) > 0 {
			t.Errorf("entries of %s = %v, %v, want none", directory, entries, err)
		}
	}
}

func TestCheck_AcceptsImageForOneGoodNode(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	good, bad := e.addNode(t, 2), e.addNode(t, 3)
	bad.server.Stop()
	diffIDs, _ := e.image(t, "a", "b")
	if got := e.linker.Check(t.Context(), diffIDs); got != (linkapi.State{}) {
		t.Errorf("Check = %+v, want no reason", got)
	}
	nodes, err := e.linker.Nodes(t.Context())
	if err != nil {
		t.Fatalf("Nodes: %v", err)
	}
	got := map[string]linkapi.Reason{}
	for _, n := range nodes {
		got[n.Cluster+" "+n.Name] = n.Unlinkable
	}
	want := map[string]linkapi.Reason{"kind " + good.name: "", "kind " + bad.name: linkapi.NodeUnreachable}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons by node (-want +got):\n%s", diff)
	}
	wantEmptyOfTests(t, e, good)
}

// wantEmptyOfTests fails the test if a test link is left.
func wantEmptyOfTests(t *testing.T, e *env, n *fakeNode) {
	t.Helper()
	for _, directory := range []string{filepath.Join(e.root, "overlay2"), n.hostPath(nodeSnapshots)} {
		left, err := filepath.Glob(filepath.Join(directory, ".kind-local-registry-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("test links left = %q, %v, want none", left, err)
		}
	}
}

// setInfo returns a function that changes what the daemon reports.
func setInfo(driver string, status [2]string, security ...string) func(*testing.T, *env, *fakeNode) {
	return func(_ *testing.T, e *env, _ *fakeNode) {
		e.daemon.Info.Driver, e.daemon.Info.DriverStatus, e.daemon.Info.SecurityOptions = driver, [][2]string{status}, security
	}
}

func TestNodes_GiveReason(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		change func(t *testing.T, e *env, n *fakeNode)
		want   linkapi.Reason
	}{
		"overlay2":               {setInfo("overlay2", [2]string{"Using metacopy", "false"}, "name=seccomp,profile=builtin"), ""},
		"another storage driver": {setInfo("vfs", [2]string{}), linkapi.StorageDriver},
		"another snapshotter":    {setInfo("native", [2]string{"driver-type", "io.containerd.snapshotter.v1"}), linkapi.StorageDriver},
		"metacopy":               {setInfo("overlay2", [2]string{"Using metacopy", "true"}), linkapi.OverlayFeature},
		"redirect_dir":           {setInfo("overlay2", [2]string{"Native Overlay Diff", "false"}), linkapi.OverlayFeature},
		"userns-remap":           {setInfo("overlay2", [2]string{}, "name=userns"), linkapi.RemappedUsers},
		"rootless":               {setInfo("overlay2", [2]string{}, "name=seccomp", "name=rootless,x=y"), linkapi.RemappedUsers},
		"/var on another file system": {func(t *testing.T, _ *env, n *fakeNode) {
			t.Helper()
			n.container.Mounts[0].Source = elsewhere(t)
			must(t, os.MkdirAll(filepath.Join(n.container.Mounts[0].Source, nodeSnapshots[len("/var"):]), 0o700))
		}, linkapi.OtherFileSystem},
		"/var on no volume": {func(_ *testing.T, _ *env, n *fakeNode) { n.container.Mounts = nil }, linkapi.OtherFileSystem},
		"a volume that the linker does not reach": {func(_ *testing.T, _ *env, n *fakeNode) {
			n.container.Mounts[0].Source = "/does/not/exist"
		}, linkapi.OtherFileSystem},
		"a link that the kernel refuses": {func(t *testing.T, _ *env, n *fakeNode) {
			t.Helper()
			must(t, os.Rename(n.hostPath(nodeSnapshots), n.hostPath(nodeSnapshots)+".old"))
			put(t, n.hostPath(nodeSnapshots), "") // ENOTDIR
		}, linkapi.LinkRefused},
		"no image in overlayfs": {func(_ *testing.T, _ *env, n *fakeNode) { clear(n.snapshots) }, linkapi.OtherSnapshotter},
		"no snapshotter overlayfs": {func(_ *testing.T, _ *env, n *fakeNode) {
			n.refuse("List", codes.InvalidArgument)
		}, linkapi.OtherSnapshotter},
		"a containerd that stopped": {func(_ *testing.T, _ *env, n *fakeNode) { n.server.Stop() }, linkapi.NodeUnreachable},
		"a containerd that is stopping": {func(_ *testing.T, _ *env, n *fakeNode) {
			n.refuse("List", codes.Unavailable)
		}, linkapi.NodeUnreachable},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			node := e.addNode(t, 2)
			diffIDs, _ := e.image(t, "a")
			test.change(t, e, node)
			nodes, err := e.linker.Nodes(t.Context())
			if err != nil || len(nodes) != 1 || nodes[0].Name != node.name {
				t.Fatalf("Nodes = %+v, %v, want %s", nodes, err, node.name)
			}
			got := nodes[0].State
			if got.Unlinkable != test.want || (got.Detail == "") != (test.want == "") {
				t.Errorf("Nodes with %s = %+v, want reason %q with a detail", what, got, test.want)
			}
			if check := e.linker.Check(t.Context(), diffIDs); check != got {
				t.Errorf("Check = %+v, want the node's %+v", check, got)
			}
			wantEmptyOfTests(t, e, node)
		})
	}
}

func TestCheck_GivesReasonOfImage(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		change func(t *testing.T, e *env, diffIDs, chains []digest.Digest)
		want   linkapi.Reason
	}{
		"a layer that Docker does not have": {func(t *testing.T, e *env, _, chains []digest.Digest) {
			t.Helper()
			must(t, e.remove(chains[1]))
		}, linkapi.LayerMissing},
		"a cache-id that leads out of Docker's directory": {func(t *testing.T, e *env, _, chains []digest.Digest) {
			t.Helper()
			put(t, e.cacheID(chains[1]), "../..")
		}, linkapi.LayerMissing},
		"a broken layer": {func(t *testing.T, e *env, diffIDs, _ []digest.Digest) {
			t.Helper()
			must(t, e.linker.Break(diffIDs[:1]))
		}, linkapi.Broken},
		"no node": {func(_ *testing.T, e *env, _, _ []digest.Digest) { clear(e.daemon.Containers) }, linkapi.NoNode},
		"a daemon that lists no containers": {func(_ *testing.T, e *env, _, _ []digest.Digest) {
			e.daemon.Refuse = func(_, path string, _ []byte) (int, string) {
				if path == "/containers/json" {
					return 500, "refused by the test"
				}
				return 0, ""
			}
		}, linkapi.NodeUnreachable},
		"a daemon that does not answer": {func(_ *testing.T, e *env, _, _ []digest.Digest) {
			e.daemon.Refuse = func(string, string, []byte) (int, string) { return 500, "refused by the test" }
		}, linkapi.StorageDriver},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b")
			test.change(t, e, diffIDs, chains)
			if got := e.linker.Check(t.Context(), diffIDs); got.Unlinkable != test.want || got.Detail == "" {
				t.Errorf("Check with %s = %+v, want reason %s with a detail", what, got, test.want)
			}
		})
	}
}

func TestNodes_RememberNoStateOfCallerThatLeft(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	if _, err := e.linker.Nodes(t.Context()); err != nil { // the list is cached
		t.Fatalf("Nodes: %v", err)
	}
	e.linker.nodes.known[0].state = nil
	ctx, leave := context.WithCancel(t.Context())
	node.onRequest(func(ctx context.Context, _ string) error {
		leave()
		<-ctx.Done()
		return ctx.Err()
	})
	if nodes, err := e.linker.Nodes(ctx); err == nil && nodes[0].Unlinkable != linkapi.NodeUnreachable {
		t.Errorf("Nodes = %+v for a caller that left, want %s", nodes, linkapi.NodeUnreachable)
	}
	node.onRequest(nil)
	if nodes, err := e.linker.Nodes(t.Context()); err != nil || nodes[0].State != (linkapi.State{}) {
		t.Errorf("Nodes = %+v, %v, want no reason", nodes, err)
	}
}
