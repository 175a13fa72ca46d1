package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kind-local-registry/internal/link/linkapi"
)

func TestLink_LinksWholeImage(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, e *env) {
		node, other := e.addNode(t, 2), e.addNode(t, 3)
		diffIDs, chains := e.image(t, "a", "b", "c")
		kept := slices.Clone(diffIDs)
		var progress []int64
		got, err := e.linker.Link(t.Context(), node.address, diffIDs, func(files int64) { progress = append(progress, files) })
		want := linkapi.Result{Node: node.name, Layers: 3, Linked: 3, Files: 3 * filesPerLayer}
		if err != nil || got != want || !got.Complete() {
			t.Errorf("Link = %+v, %v, want %+v", got, err, want)
		}
		if !slices.IsSorted(progress) || len(progress) == 0 || progress[len(progress)-1] != want.Files {
			t.Errorf("progress = %v, want it to rise to %d", progress, want.Files)
		}
		if !slices.Equal(diffIDs, kept) {
			t.Errorf("Link changed its argument to %q", diffIDs)
		}
		wantSnapshots(t, node, chains...)
		e.wantLayers(t, node, chains...)
		wantLeases(t, node, 1)
		wantSnapshots(t, other)
		wantLeases(t, other, 0)
	})
}

func TestLink_LinksOnlyLayersThatAreAbsent(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	diffIDs, chains := e.image(t, "a", "b", "c")
	for _, want := range []linkapi.Result{
		{Layers: 1, Linked: 1, Files: filesPerLayer},
		{Layers: 3, Present: 1, Linked: 2, Files: 2 * filesPerLayer},
		{Layers: 3, Present: 3},
		{Layers: 2, Present: 2},
	} {
		want.Node = node.name
		got, err := e.linker.Link(t.Context(), node.address, diffIDs[:want.Layers], ignore)
		if err != nil || got != want {
			t.Errorf("Link = %+v, %v, want %+v", got, err, want)
		}
	}
	wantSnapshots(t, node, chains...)
	wantLeases(t, node, 2) // none for an image that the node has
}

func TestLink_LinksLowerLayersIfDockerHasNoOther(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, e *env) {
		node := e.addNode(t, 2)
		diffIDs, chains := e.image(t, "a", "b", "c")
		must(t, e.remove(chains[1:]...))
		got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore)
		want := linkapi.Result{Node: node.name, Layers: 3, Linked: 1, Files: filesPerLayer}
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "layer 2 of 3") || got != want {
			t.Errorf("Link = %+v, %v, want %+v and %v of layer 2", got, err, want, fs.ErrNotExist)
		}
		wantSnapshots(t, node, chains[0])
	})
}

func TestLink_CommitsNoLayerThatDockerRemoves(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(e *env, cacheID string) error{
		"removed":  func(_ *env, cacheID string) error { return os.RemoveAll(filepath.Dir(cacheID)) },
		"replaced": func(_ *env, cacheID string) error { return os.WriteFile(cacheID, []byte("other"), 0o600) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			node := e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b")
			got, err := e.linker.Link(t.Context(), node.address, diffIDs, func(files int64) {
				if files == 2*filesPerLayer { // all are linked, and the second layer is not yet committed
					must(t, change(e, e.cacheID(chains[1])))
				}
			})
			if !errors.Is(err, fs.ErrNotExist) || got.Linked != 1 {
				t.Errorf("Link = %+v, %v, want one layer and %v", got, err, fs.ErrNotExist)
			}
			wantSnapshots(t, node, chains[0])
		})
	}
}

// TestLink_CommitsOnlyCompleteLayers makes Docker remove the layers at any moment.
func TestLink_CommitsOnlyCompleteLayers(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, e *env) {
		node := e.addNode(t, 2)
		committed := 0
		for round := range 12 {
			diffIDs, chains := e.image(t, fmt.Sprint("round", round))
			for i := range 200 {
				put(t, filepath.Join(e.layer(chains[0]), fmt.Sprintf("usr/%d/%d", i%20, i)), "content")
			}
			want := describe(t, e.layer(chains[0]))
			var removing sync.WaitGroup
			at := make(chan struct{})
			var once sync.Once
			node.onRequest(func(_ context.Context, method string) error {
				if method == "Prepare" && round%2 == 0 || method == "Commit" {
					once.Do(func() { close(at) })
				}
				return nil
			})
			removing.Go(func() {
				<-at
				if err := e.remove(chains[0]); err != nil {
					t.Error(err)
				}
			})
			_, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore)
			once.Do(func() { close(at) })
			removing.Wait()
			found, directory, has := node.find(chains[0].String())
			if has != (err == nil) {
				t.Errorf("round %d: Link = %v, and the layer is on the node: %t (%v)", round, err, has, found)
			}
			if has {
				committed++
				if diff := cmp.Diff(want, describe(t, directory)); diff != "" {
					t.Fatalf("round %d: an incomplete layer was committed (-want +got):\n%s", round, diff)
				}
			}
			wantNoneLeft(t, node)
		}
		if committed < 6 {
			t.Errorf("layers committed = %d, want at least the 6 that were removed after Commit began", committed)
		}
	})
}

func TestLink_TakesConcurrentCallers(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, e *env) {
		node := e.addNode(t, 2)
		diffIDs, chains := e.image(t, "a", "b", "c")
		const callers = 8
		var present atomic.Int64
		all := make(chan struct{})
		node.onRequest(func(_ context.Context, method string) error {
			if method == "Create" {
				if present.Add(1) == callers {
					close(all)
				}
				<-all // every caller has found that the node has no layer
			}
			return nil
		})
		var linking sync.WaitGroup
		for range callers {
			linking.Go(func() {
				got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore)
				if err != nil || !got.Complete() {
					t.Errorf("Link = %+v, %v, want a complete image", got, err)
				}
			})
		}
		linking.Wait()
		wantSnapshots(t, node, chains...)
		e.wantLayers(t, node, chains...)
	})
}

func TestLink_LeavesNoSnapshotAfterFailure(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Create", "Stat", "Prepare", "Commit"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			node := e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b", "c")
			if _, err := e.linker.Link(t.Context(), node.address, diffIDs[:1], ignore); err != nil {
				t.Fatalf("Link of the first layer: %v", err)
			}
			node.refuse(method, codes.Internal)
			got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore)
			if status.Code(errors.Unwrap(err)) == codes.OK || got.Linked != 0 {
				t.Errorf("Link = %+v, %v, want no layer and an error", got, err)
			}
			wantSnapshots(t, node, chains[0])
			node.onRequest(nil)
			if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || got.Linked != 2 {
				t.Errorf("Link after the failure = %+v, %v, want two layers", got, err)
			}
			wantSnapshots(t, node, chains...)
			e.wantLayers(t, node, chains...)
		})
	}
}

func TestLink_RemovesSnapshotWhenCallerLeaves(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Prepare", "Commit"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			node := e.addNode(t, 2)
			diffIDs, _ := e.image(t, "a")
			ctx, leave := context.WithCancel(t.Context())
			node.onRequest(func(ctx context.Context, called string) error {
				if called == method {
					leave()
					<-ctx.Done()
				}
				return ctx.Err()
			})
			if _, err := e.linker.Link(ctx, node.address, diffIDs, ignore); !errors.Is(err, context.Canceled) {
				t.Errorf("Link = %v, want %v", err, context.Canceled)
			}
			e.linker.layers.Close() // waits for the removal
			wantSnapshots(t, node)
		})
	}
}

func TestBreak_OutlivesLinker(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	diffIDs, _ := e.image(t, "a", "b", "c")
	other, chains := e.image(t, "b", "a")
	kept := slices.Clone(diffIDs)
	for range 2 {
		must(t, e.linker.Break(diffIDs[:2]))
	}
	base := diffIDs[:1]
	if !slices.Equal(diffIDs, kept) {
		t.Errorf("Break changed its argument to %q", diffIDs)
	}
	for _, linker := range []*Linker{e.linker, e.newLinker(t)} {
		got, err := linker.Link(t.Context(), node.address, diffIDs, ignore)
		if want := (linkapi.Result{Node: node.name, Layers: 3}); !errors.Is(err, errBroken) || got != want {
			t.Errorf("Link of broken layers = %+v, %v, want %+v and %v", got, err, want, errBroken)
		}
		wantSnapshots(t, node)
	}
	if _, err := e.linker.Link(t.Context(), node.address, other, ignore); err != nil {
		t.Errorf("Link of the same layers in another order: %v", err)
	}
	wantSnapshots(t, node, chains...)
	if got, err := e.linker.Link(t.Context(), node.address, base, ignore); err != nil || got.Linked != 1 {
		t.Errorf("Link of the layer below the broken one = %+v, %v, want one layer", got, err)
	}
	content, err := os.ReadFile(filepath.Join(e.root, "broken"))
	if lines := strings.Count(string(content), "\n"); err != nil || lines != 1 {
		t.Errorf("lines of the file = %d, %v, want one for the layer", lines, err)
	}
}

func TestBreak_ReturnsErrorOfItsFile(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	diffIDs, _ := e.image(t, "a")
	must(t, os.Mkdir(filepath.Join(e.root, "broken"), 0o700))
	if err := e.linker.Break(diffIDs); err == nil {
		t.Error("Break with a directory in place of its file: no error")
	}
	if _, err := NewLinker(nil, filepath.Join(e.root, "broken")); err == nil {
		t.Error("NewLinker with a directory in place of its file: no error")
	}
}
