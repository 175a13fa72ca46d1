package disk_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kind-local-registry/internal/disk"
)

// warnings collects the reason of each warning in the log. It is safe for concurrent use.
type warnings struct {
	mu      sync.Mutex
	reasons []string
}

// Write implements io.Writer. It expects one record.
func (w *warnings) Write(record []byte) (int, error) {
	var line struct{ Level, Reason string }
	if err := json.Unmarshal(record, &line); err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if line.Level == slog.LevelWarn.String() {
		w.reasons = append(w.reasons, line.Reason)
	}
	return len(record), nil
}

// take returns the reasons since the last call.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	reasons := w.reasons
	w.reasons = nil
	return reasons
}

// upload uploads a layer that no image needs, as an unfinished docker push does.
func (e env) upload(t *testing.T) {
	t.Helper()
	layer, err := random.Layer(20_000, "application/vnd.oci.image.layer.v1.tar")
	if err != nil {
		t.Fatal(err)
	}
	repository, err := name.NewRepository(e.host + "/example/unfinished")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteLayer(repository, layer, e.options(t.Context())...); err != nil {
		t.Fatal(err)
	}
}

func TestKeep_WarnsOnceForEachReason(t *testing.T) {
	t.Parallel()
	const limit = 15_000
	e, log, pushed := newEnv(t, 0), &warnings{}, make(chan struct{})
	pruner := disk.New(registryHost, e.registry, e.service, e.cluster, limit, slog.New(slog.NewJSONHandler(log, nil)))
	pruner.Settle(0)
	var keeping sync.WaitGroup
	t.Cleanup(keeping.Wait)
	keeping.Go(func() { pruner.Keep(t.Context(), pushed) })
	wantReasons := func(when string, want ...string) {
		t.Helper()
		for range 3 { // Keep accepts the third value once it has applied the limit twice
			pushed <- struct{}{}
		}
		if diff := cmp.Diff(want, log.take()); diff != "" {
			t.Errorf("reasons of the warnings %s (-want +got):\n%s", when, diff)
		}
	}

	wantReasons("without images")
	used := e.build(t, "example/a:1", 1, 10_000)
	if _, err := e.service.Push(t.Context(), "example/a:1", nil); err != nil {
		t.Fatal(err)
	}
	wantReasons("with an image in use", "images in use are kept")
	e.upload(t)
	wantReasons("with an image in use and a layer", "images in use and layers of unfinished pushes are kept")
	e.engine.Remove(used)
	wantReasons("with a layer", "layers of unfinished pushes are kept")
	e.wantStored(t, "after the image was removed from the host")
}

// stoppedCluster is a cluster that does not run.
type stoppedCluster struct{ *cluster }

// Clusters implements disk.Clusters.
func (stoppedCluster) Clusters(context.Context) ([]disk.Cluster, []disk.Use, error) {
	return []disk.Cluster{{Name: "c", Unknown: "it is stopped"}}, nil, nil
}

func TestKeep_WarnsOnceThatPodsAreUnknown(t *testing.T) {
	t.Parallel()
	e, log, pushed := newEnv(t, 0), &warnings{}, make(chan struct{})
	e.engine.Remove(e.pushNew(t, "example/a:1", 1))
	stopped := stoppedCluster{e.cluster}
	pruner := disk.New(registryHost, e.registry, e.service, stopped, 1, slog.New(slog.NewJSONHandler(log, nil)))
	var keeping sync.WaitGroup
	t.Cleanup(keeping.Wait)
	keeping.Go(func() { pruner.Keep(t.Context(), pushed) })
	for range 3 {
		pushed <- struct{}{}
	}
	if got := log.take(); len(got) != 1 || !strings.Contains(got[0], "kind cluster c use: it is stopped") {
		t.Errorf("reasons of the warnings = %q, want one that names the cluster", got)
	}
}
