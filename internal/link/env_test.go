package link

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/host/engine/enginetest"
)

// env is a host with a fake Docker daemon, whose layers have real directories, and a linker.
type env struct {
	daemon *enginetest.Daemon
	root   string // the daemon's data directory
	proc   string
	store  *fakeContainerd // the daemon's containerd; nil if the daemon uses overlay2
	linker *Linker
}

// newEnv returns a host without nodes or images.
func newEnv(t *testing.T) *env {
	t.Helper()
	return newEnvIn(t, t.TempDir())
}

// newEnvIn returns a host without nodes or images, whose daemon has its data in a directory.
func newEnvIn(t *testing.T, directory string) *env {
	t.Helper()
	proc, err := os.MkdirTemp("", "proc") //nolint:usetesting // t.TempDir may be too long for a socket's address
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(proc) })
	e := &env{daemon: enginetest.New(t), root: filepath.Join(directory, "docker"), proc: proc}
	must(t, os.MkdirAll(filepath.Join(e.root, "overlay2"), 0o710))
	e.daemon.Info.DockerRootDir = e.root
	e.linker = e.newLinker(t)
	return e
}

// newLinker returns another linker, as after a restart.
func (e *env) newLinker(t *testing.T) *Linker {
	t.Helper()
	daemon, err := docker.New(e.daemon.Host())
	must(t, err)
	linker, err := NewLinker(daemon, filepath.Join(e.root, "broken"))
	must(t, err)
	linker.nodes.proc, linker.daemon.proc = e.proc, e.proc
	t.Cleanup(func() { linker.Close(); _ = daemon.Close() })
	return linker
}

// addNode adds a node whose /var is on a volume of the daemon. id is 2 or more.
func (e *env) addNode(t *testing.T, id int) *fakeNode {
	t.Helper()
	return startNode(t, e.daemon, e.proc, id, filepath.Join(e.root, "volumes", string(rune('a'+id)), "_data"))
}

// image adds an image with those layers to the daemon, and returns their diffIDs and chainIDs. Each layer has a few files.
func (e *env) image(t *testing.T, layers ...string) (diffIDs, chains []digest.Digest) {
	t.Helper()
	for _, layer := range layers {
		diffIDs = append(diffIDs, digest.FromString(layer))
	}
	chains = identity.ChainIDs(slices.Clone(diffIDs))
	for i, chain := range chains {
		e.register(t, chains[:i], chain)
		put(t, filepath.Join(e.layer(chain), "usr/share", layers[i]), layers[i])
		put(t, filepath.Join(e.layer(chain), "etc/passwd"), layers[i])
		put(t, filepath.Join(e.layer(chain), "app"), layers[i])
	}
	return diffIDs, chains
}

// register makes the daemon know a layer on top of others.
func (e *env) register(t *testing.T, below []digest.Digest, chain digest.Digest) {
	t.Helper()
	if e.store == nil {
		put(t, e.cacheID(chain), chain.Encoded()[:12])
		return
	}
	parent := ""
	if len(below) > 0 {
		parent = below[len(below)-1].String()
	}
	e.store.add(chain.String(), parent, fakeSnapshot{kind: snapshotsapi.Kind_COMMITTED})
}

// filesPerLayer is the number of files in each layer of an image.
const filesPerLayer = 3

// cacheID returns the path of the file that registers a layer.
func (e *env) cacheID(chain digest.Digest) string {
	return filepath.Join(e.root, "image/overlay2/layerdb/sha256", chain.Encoded(), "cache-id")
}

// layer returns the directory with the files of a layer.
func (e *env) layer(chain digest.Digest) string {
	if e.store != nil {
		_, directory, _ := e.store.find(chain.String())
		return directory
	}
	return filepath.Join(e.root, "overlay2", chain.Encoded()[:12], "diff")
}

// remove removes layers from the daemon in Docker's order.
func (e *env) remove(chains ...digest.Digest) error {
	var err error
	for _, chain := range slices.Backward(chains) {
		if e.store != nil {
			err = errors.Join(err, e.store.removeUnused(chain.String()))
			continue
		}
		registered := filepath.Dir(e.cacheID(chain))
		err = errors.Join(err, os.Rename(registered, registered+"-removing"), os.RemoveAll(e.layer(chain)), os.RemoveAll(registered+"-removing"))
	}
	return err
}

// ignore is a progress function.
func ignore(int64) {}

// wantSnapshots fails the test unless the node has committed snapshots of those layers, each on top of the one before. The only
// other snapshot may be the one that every node has.
func wantSnapshots(t *testing.T, n *fakeNode, chains ...digest.Digest) {
	t.Helper()
	want := []string{"base"}
	for i, chain := range chains {
		want = append(want, chain.String())
		parent := ""
		if i > 0 {
			parent = chains[i-1].String()
		}
		if found, _, _ := n.find(chain.String()); found.parent != parent {
			t.Errorf("parent of layer %d on %s = %q, want %q", i+1, n.name, found.parent, parent)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, n.keys(snapshotsapi.Kind_COMMITTED)); diff != "" {
		t.Errorf("committed snapshots on %s (-want +got):\n%s", n.name, diff)
	}
	wantNoneLeft(t, n)
}

// wantNoneLeft fails the test if the node has an uncommitted snapshot, or the directory of one.
func wantNoneLeft(t *testing.T, n *fakeNode) {
	t.Helper()
	if got := append(n.keys(snapshotsapi.Kind_ACTIVE), n.keys(snapshotsapi.Kind_VIEW)...); len(got) > 0 {
		t.Errorf("uncommitted snapshots on %s = %q, want none", n.name, got)
	}
	directories, err := os.ReadDir(n.hostPath(nodeSnapshots))
	must(t, err)
	if want := len(n.keys(snapshotsapi.Kind_COMMITTED)); len(directories) != want {
		t.Errorf("directories of snapshots on %s = %d, want %d", n.name, len(directories), want)
	}
}

// wantLayers fails the test unless the node's layers have the same files as the daemon's.
func (e *env) wantLayers(t *testing.T, n *fakeNode, chains ...digest.Digest) {
	t.Helper()
	for _, chain := range chains {
		_, directory, found := n.find(chain.String())
		if !found {
			t.Fatalf("layer %s is not on %s", chain, n.name)
		}
		wantSame(t, e.layer(chain), directory)
		wantInode(t, e.layer(chain), directory, "app", true)
		wantInode(t, e.layer(chain), directory, "etc/passwd", false)
	}
}

// wantLeases fails the test unless the node has that many leases, each ends within leaseTime, and every linked snapshot has one.
func wantLeases(t *testing.T, n *fakeNode, want int) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.leases) != want {
		t.Errorf("leases on %s = %q, want %d", n.name, slices.Collect(maps.Keys(n.leases)), want)
	}
	for id, end := range n.leases {
		if left := time.Until(end); left <= 0 || left > leaseTime {
			t.Errorf("lease %s on %s ends in %s, want at most %s", id, n.name, left, leaseTime)
		}
	}
	for key, s := range n.snapshots {
		if _, leased := n.leases[s.lease]; !leased && key != "base" {
			t.Errorf("snapshot %s on %s has no lease", key, n.name)
		}
	}
}
