package link

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"kind-local-registry/internal/link/linkapi"
)

// TestLink_LeavesImpliedDirectoriesToAPull changes the directories of an image with three layers. In every layer, Docker has the
// directories /usr, /usr/share and /etc with its default attributes.
func TestLink_LeavesImpliedDirectoriesToAPull(t *testing.T) {
	t.Parallel()
	needRoot(t, "change owners")
	for what, change := range map[string]func(lowest, middle, top string) error{
		"another mode":              func(lowest, _, _ string) error { return os.Chmod(filepath.Join(lowest, "usr"), 0o700) },
		"another owner":             func(lowest, _, _ string) error { return os.Lchown(filepath.Join(lowest, "usr/share"), 7, 0) },
		"another group":             func(lowest, _, _ string) error { return os.Lchown(filepath.Join(lowest, "usr/share"), 0, 8) },
		"extended attributes":       func(lowest, _, _ string) error { return unix.Setxattr(filepath.Join(lowest, "etc"), "user.a", nil, 0) },
		"the mode of an old Docker": func(_, middle, _ string) error { return os.Chmod(filepath.Join(middle, "usr"), 0o777) },
		"an opaque implied directory": func(lowest, middle, _ string) error {
			return errors.Join(os.Chmod(filepath.Join(lowest, "usr"), 0o700),
				unix.Setxattr(filepath.Join(middle, "usr"), "trusted.overlay.opaque", []byte("y"), 0))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			node := e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b", "c")
			must(t, change(e.layer(chains[0]), e.layer(chains[1]), e.layer(chains[2])))
			got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore)
			want := linkapi.Result{Node: node.name, Layers: 3, Linked: 1, Files: filesPerLayer}
			if !errors.Is(err, errImplied) || got != want {
				t.Errorf("Link = %+v, %v, want %+v and %v", got, err, want, errImplied)
			}
			wantSnapshots(t, node, chains[0])
		})
	}
}

func TestLink_LinksDirectoriesThatALayerLists(t *testing.T) {
	t.Parallel()
	needRoot(t, "change owners")
	for what, change := range map[string]func(lowest, middle, top string) error{
		"other attributes than the default": func(lowest, middle, top string) error {
			return errors.Join(os.Chmod(filepath.Join(lowest, "usr"), 0o700), os.Chmod(filepath.Join(middle, "usr"), 0o750),
				os.Lchown(filepath.Join(top, "usr"), 7, 8))
		},
		"only in the lowest layer": func(lowest, _, _ string) error { return os.Mkdir(filepath.Join(lowest, "home"), 0o700) },
		"only in the top layer":    func(_, _, top string) error { return os.Mkdir(filepath.Join(top, "home"), 0o755) },
		"replaced by a symbolic link in between": func(lowest, middle, top string) error {
			return errors.Join(os.Mkdir(filepath.Join(lowest, "home"), 0o700), os.Symlink("usr", filepath.Join(middle, "home")),
				os.Mkdir(filepath.Join(top, "home"), 0o755))
		},
		"deleted in between": func(lowest, middle, top string) error {
			return errors.Join(os.Mkdir(filepath.Join(lowest, "home"), 0o700), unix.Mknod(filepath.Join(middle, "home"), unix.S_IFCHR, 0),
				os.Mkdir(filepath.Join(top, "home"), 0o755))
		},
		"an opaque directory below": func(lowest, _, _ string) error {
			return unix.Setxattr(filepath.Join(lowest, "usr"), "trusted.overlay.opaque", []byte("y"), 0)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			node := e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b", "c")
			must(t, change(e.layer(chains[0]), e.layer(chains[1]), e.layer(chains[2])))
			if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || got.Linked != 3 {
				t.Errorf("Link = %+v, %v, want 3 linked layers", got, err)
			}
			e.wantLayers(t, node, chains...)
		})
	}
}

// TestLink_LinksImpliedDirectoriesOfAnotherNode has an image that only another node has. That node pulled it, so its directories
// have the right attributes.
func TestLink_LinksImpliedDirectoriesOfAnotherNode(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node, other := e.addNode(t, 2), e.addNode(t, 3)
	diffIDs, chains := e.image(t, "a", "b")
	must(t, e.remove(chains...))
	parent := digest.Digest("")
	for _, chain := range chains {
		other.add(chain.String(), parent.String(), fakeSnapshot{kind: snapshotsapi.Kind_COMMITTED})
		_, directory, _ := other.find(chain.String())
		put(t, filepath.Join(directory, "home/file"), chain.String())
		parent = chain
	}
	_, lowest, _ := other.find(chains[0].String())
	must(t, os.Chmod(filepath.Join(lowest, "home"), 0o700))
	if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || got.Linked != 2 {
		t.Errorf("Link = %+v, %v, want 2 linked layers", got, err)
	}
	wantSnapshots(t, node, chains...)
}

// TestLink_LinksDefaultDirectoriesOfStore has a layer whose directory /usr has the default attributes, but not those of /usr in the
// layer below. With overlay2, the second layer possibly does not list this directory. In the containerd image store, the layer does
// list it: otherwise, containerd would have copied the attributes of the layer below.
func TestLink_LinksDefaultDirectoriesOfStore(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		newEnv func(*testing.T) *env
		linked int
		want   error
	}{
		"overlay2":               {newEnv, 1, errImplied},
		"containerd image store": {newStoreEnv, 3, nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := test.newEnv(t)
			node := e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b", "c")
			must(t, os.Chmod(filepath.Join(e.layer(chains[0]), "usr"), 0o700))
			got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore)
			if !errors.Is(err, test.want) || got.Linked != test.linked {
				t.Errorf("Link = %+v, %v, want %d linked layers and error %v", got, err, test.linked, test.want)
			}
			wantSnapshots(t, node, chains[:test.linked]...)
			e.wantLayers(t, node, chains[:test.linked]...)
		})
	}
}
