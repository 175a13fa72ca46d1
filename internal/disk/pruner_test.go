package disk_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite/rewritetest"
)

// pushNew builds an image and pushes it.
func (e env) pushNew(t *testing.T, reference string, number int) dockertest.Image {
	t.Helper()
	image := e.build(t, reference, number, 1000)
	if _, err := e.service.Push(t.Context(), reference, nil); err != nil {
		t.Fatal(err)
	}
	return image
}

// stored returns the configs of the images in the registry, as a sorted list of image IDs.
func (e env) stored(t *testing.T) []string {
	t.Helper()
	listed, err := e.registry.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, image := range listed.Images {
		ids = append(ids, image.Config.String())
	}
	slices.Sort(ids)
	return ids
}

// wantStored fails the test unless the registry has exactly these images.
func (e env) wantStored(t *testing.T, when string, want ...dockertest.Image) {
	t.Helper()
	var ids []string
	for _, image := range want {
		ids = append(ids, image.ID().String())
	}
	slices.Sort(ids)
	if diff := cmp.Diff(ids, e.stored(t)); diff != "" {
		t.Errorf("images in the registry %s (-want +got):\n%s", when, diff)
	}
}

func TestPrune_RemovesWhatItsPlanSays(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 0)
	old := e.pushNew(t, "example/a:1", 1)
	if err := e.pull(t.Context(), registryHost+"/example/a:1"); err != nil {
		t.Fatal(err)
	}
	current := e.pushNew(t, "example/a:1", 2)
	before := e.size(t)

	planned := e.prune(t, disk.Options{DryRun: true})
	e.wantStored(t, "after a dry run", old, current)
	unplanned := e.pushNew(t, "example/b:1", 1)
	e.engine.Remove(unplanned)
	pruned := e.prune(t, disk.Options{Only: &planned.Plan})

	e.wantStored(t, "after the removal", current, unplanned)
	if diff := cmp.Diff(planned.Plan.Nodes, pruned.NodeImages); diff != "" || len(pruned.NodeImages) != 1 {
		t.Errorf("images removed from the node (-planned +removed):\n%s", diff)
	}
	if pruned.Removed == nil || pruned.Removed.Bytes != planned.Plan.RegistryBytes || pruned.Removed.Bytes == 0 {
		t.Errorf("Prune = %+v, want %d bytes removed, as planned", pruned.Removed, planned.Plan.RegistryBytes)
	}
	e.prune(t, disk.Options{})
	e.wantStored(t, "after the removal of everything unused", current)
	if after := e.size(t); after >= before {
		t.Errorf("the registry has %d bytes, before it had %d", after, before)
	}
}

func TestPrune_KeepsWhatARunningPushHasFound(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 0)
	shared, blocked := dockertest.Layer(strings.Repeat("found ", 1000)), dockertest.Layer("blocked")
	old := dockertest.NewImage("old", shared)
	e.engine.Tag("docker.io/example/old:1", old)
	if _, err := e.service.Push(t.Context(), "example/old:1", nil); err != nil {
		t.Fatal(err)
	}
	e.engine.Remove(old)
	begun, proceed := make(chan struct{}, 1), make(chan struct{})
	open := blocked.Open
	blocked.Open = func() io.Reader {
		begun <- struct{}{}
		<-proceed
		return open()
	}
	e.engine.Tag("docker.io/example/new:1", dockertest.NewImage("new", shared, blocked))
	pushed := make(chan push.Result)
	go func() {
		result, err := e.service.Push(t.Context(), "example/new:1", nil)
		if err != nil {
			t.Errorf("Push: %v", err)
		}
		pushed <- result
	}()
	<-begun // by now, the push has found the shared layer in the registry

	pruned := e.prune(t, disk.Options{})
	if pruned.Removed == nil || len(pruned.Removed.Images) != 1 || pruned.Removed.Blobs != 2 {
		t.Errorf("Prune during the push = %+v, want the old image's manifest and config removed", pruned.Removed)
	}
	close(proceed)
	if result := <-pushed; result.Present != 1 || result.Uploaded != 2 {
		t.Errorf("Push = %+v, want the shared layer present, and only config and new layer uploaded", result)
	}
}

func TestPrune_KeepsAnImageThatWasJustLookedUp(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 0)
	old := e.pushNew(t, "example/a:1", 1)
	e.pruner.Settle(time.Hour)
	if _, err := e.service.Lookup(t.Context(), rewritetest.Name(t, "example/a:1")); err != nil {
		t.Fatal(err)
	}
	e.engine.Remove(old)
	e.prune(t, disk.Options{})
	e.wantStored(t, "after a lookup", old)
	e.pruner.Settle(0)
	e.prune(t, disk.Options{})
	e.wantStored(t, "later")
}

func TestPrune_OfAnotherRegistryAffectsOnlyNodes(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 0)
	old := e.pushNew(t, "example/a:1", 1)
	if err := e.pull(t.Context(), registryHost+"/example/a:1"); err != nil {
		t.Fatal(err)
	}
	e.engine.Remove(old)
	foreign, err := push.NewRegistry("http://" + e.host) // without the socket, our registry is like any other
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(foreign.Close)
	pruner := disk.New(registryHost, foreign, e.service, e.cluster, 0, slog.New(slog.DiscardHandler))
	pruned, err := pruner.Prune(t.Context(), disk.Options{}, func(disk.Step) {})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(pruned.Plan.Blocked, "not the one that setup contains") || len(pruned.NodeImages) != 1 || pruned.Removed != nil {
		t.Errorf("Prune = %+v, want one image removed from the node, and the registry left alone", pruned)
	}
	e.wantStored(t, "afterwards", old)
	if report, err := pruner.Report(t.Context(), func(disk.Step) {}); err != nil || report.Registry != nil {
		t.Errorf("Report = %+v, %v, want no registry", report, err)
	}
	if _, err := pruner.Verify(t.Context(), false, func(disk.Step) {}); err == nil {
		t.Error("Verify: no error")
	}
}

func TestKeep_AppliesTheLimitAfterAPush(t *testing.T) {
	t.Parallel()
	const limit = 60_000
	e := newEnv(t, limit)
	var keeping sync.WaitGroup
	t.Cleanup(keeping.Wait)
	keeping.Go(func() { e.pruner.Keep(t.Context(), e.service.Pushed()) })
	for number := range 20 {
		e.build(t, "example/a:1", number, 5000)
		if _, err := e.service.Push(t.Context(), "example/a:1", nil); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; {
		listed, err := e.registry.Inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if size := listed.Bytes(); size <= limit {
			if len(listed.Images) < 2 {
				t.Errorf("%d images of %d bytes are left, want as many as the limit of %d allows", len(listed.Images), size, limit)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the registry has %d bytes, want at most %d", listed.Bytes(), limit)
		}
	}
}

// brokenNode is a cluster whose node does not answer.
type brokenNode struct{ *cluster }

// Images implements disk.Clusters.
func (brokenNode) Images(context.Context, string, string) ([]disk.NodeImage, error) {
	return nil, errors.New("node n1: exit status 1")
}

func TestPrune_ContinuesWithoutANodeThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 0)
	e.engine.Remove(e.pushNew(t, "example/a:1", 1))
	pruner := disk.New(registryHost, e.registry, e.service, brokenNode{e.cluster}, 0, slog.New(slog.DiscardHandler))
	pruner.Settle(0)
	pruned, err := pruner.Prune(t.Context(), disk.Options{}, func(disk.Step) {})
	if err != nil || !slices.Equal(pruned.Plan.Faults, []string{"node n1: exit status 1"}) {
		t.Errorf("Prune = %+v, %v, want the node's fault", pruned, err)
	}
	e.wantStored(t, "without the node")
}
