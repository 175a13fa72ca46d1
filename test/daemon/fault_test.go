//go:build daemon

package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/test/testimage"
)

// service is a running pusher service that is connected to a daemon and a registry.
type service struct {
	*pusher.Service

	url      string
	registry *push.Registry
}

// newService starts a registry with the given root directory, and a service that pushes the daemon's images to it.
func newService(t *testing.T, d *daemon, root string) service {
	t.Helper()
	return newServiceAt(t, d, registrytest.Start(t, root), slog.DiscardHandler)
}

// newServiceAt starts a service that pushes the daemon's images to the registry at the URL.
func newServiceAt(t *testing.T, d *daemon, url string, log slog.Handler) service {
	t.Helper()
	pushes, registry := d.Service(t, url, "localhost:5001", log)
	return service{pushes, url, registry}
}

// wantComplete fails the test if the registry serves an incomplete image under the tag.
func (s service) wantComplete(t *testing.T, repository, tag string) {
	t.Helper()
	presence, err := s.registry.Presence(t.Context(), push.Target{Repository: repository, Reference: tag})
	if err != nil {
		t.Fatalf("Presence: %v", err)
	}
	if presence.Digest != "" && !presence.Complete {
		t.Errorf("%s:%s is visible but incomplete: %+v", repository, tag, presence)
	}
}

// pull pulls the image by its digest and verifies every byte.
func (s service) pull(t *testing.T, repository, digest string) v1.Image {
	t.Helper()
	reference, err := name.NewDigest(strings.TrimPrefix(s.url, "http://") + "/" + repository + "@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(reference, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("pulling %s: %v", reference, err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		if err := validate.Layer(layer, validate.Fast); err != nil {
			t.Errorf("%s: %v", reference, err)
		}
	}
	return image
}

// noise loads an image with two incompressible layers of the given size into the daemon.
func noise(t *testing.T, d *daemon, reference string, size int, seed byte) {
	t.Helper()
	var layers [][]byte
	for i := range byte(2) {
		content := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{seed, i}).Read(content)
		layers = append(layers, testimage.Layer(t, []testimage.File{testimage.Regular("noise", string(content))}))
	}
	d.Load(t, bytes.NewReader(saveArchive(t, testimage.Image(t, layers...), reference)))
}

// eachDaemon runs the test with every daemon.
func eachDaemon(t *testing.T, test func(t *testing.T, d *daemon)) {
	t.Helper()
	for _, d := range daemons {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}

func TestPush_PushesCompleteImagesWhileTheTagMoves(t *testing.T) {
	t.Parallel()
	eachDaemon(t, func(t *testing.T, d *daemon) {
		s := newService(t, d, t.TempDir())
		images := map[string]string{}
		for i, reference := range []string{"race/one:1", "race/two:1"} {
			noise(t, d, reference, 200_000, byte(10+i))
			images[mustPush(t, s, reference)] = reference
		}
		ctx, cancel := context.WithCancel(t.Context())
		var moving sync.WaitGroup
		moving.Go(func() { retag(ctx, d) })
		defer moving.Wait()
		defer cancel()
		pushed := map[string]bool{}
		for i := 0; i < 200 || len(pushed) < len(images) && i < 20_000; i++ {
			result, err := s.Push(t.Context(), "race/moving:1", nil)
			if err != nil {
				if rewrite.ReasonOf(err) != rewrite.NotOnHost {
					t.Errorf("race %d: %v, want a refusal with %s", i, err, rewrite.NotOnHost)
				}
				continue
			}
			if images[result.Digest.String()] == "" {
				t.Errorf("race %d: pushed %s, want one of %v", i, result.Digest, images)
			}
			pushed[result.Digest.String()] = true
			s.wantComplete(t, "race/moving", "1")
		}
		for digest := range images {
			s.pull(t, "race/moving", digest)
		}
	})
}

// retag repeatedly moves a tag between two images, and removes it now and then.
func retag(ctx context.Context, d *daemon) {
	for i := 0; ctx.Err() == nil; i++ {
		source := []string{"race/one:1", "race/two:1"}[i%2]
		_, _ = d.API.ImageTag(ctx, client.ImageTagOptions{Source: source, Target: "race/moving:1"})
		if i%5 == 4 {
			_, _ = d.API.ImageRemove(ctx, "race/moving:1", client.ImageRemoveOptions{})
		}
		time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
	}
}

func mustPush(t *testing.T, s service, reference string) string {
	t.Helper()
	result, err := s.Push(t.Context(), reference, nil)
	if err != nil {
		t.Fatalf("pushing %s: %v", reference, err)
	}
	return result.Digest.String()
}

func TestPush_ReportsAFullDiskAndRecovers(t *testing.T) {
	t.Parallel()
	eachDaemon(t, func(t *testing.T, d *daemon) {
		root := t.TempDir()
		if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=8m"); err != nil {
			t.Fatalf("mounting a small disk: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
		s := newService(t, d, root)
		noise(t, d, "full/big:1", 6_000_000, 20)
		noise(t, d, "full/small:1", 1_000_000, 21)
		_, err := s.Push(t.Context(), "full/big:1", nil)
		if rewrite.ReasonOf(err) != rewrite.NoSpace {
			t.Errorf("Push to a full disk = %v, want a refusal with %s", err, rewrite.NoSpace)
		}
		s.wantComplete(t, "full/big", "1")
		// The failed upload must leave nothing behind, so that the next image fits.
		s.pull(t, "full/small", mustPush(t, s, "full/small:1"))
		if err := unix.Mount("", root, "", unix.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatalf("making the disk bigger: %v", err)
		}
		s.pull(t, "full/big", mustPush(t, s, "full/big:1"))
	})
}

func TestPush_WaitsForAHangingDaemonAndLookupDoesNot(t *testing.T) { //nolint:paralleltest // stops a daemon
	d := daemons[0]
	noise(t, d, "hang/a:1", 1_000_000, 30)
	s := newService(t, d, t.TempDir())
	mustPush(t, s, "hang/a:1") // from now on, the service knows the daemon's layout
	noise(t, d, "hang/b:1", 1_000_000, 31)
	if err := d.Suspend(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	if _, err := s.Lookup(ctx, rewritetest.Name(t, "hang/b:1")); err == nil || time.Since(start) > 2*time.Second {
		t.Errorf("Lookup in a hanging daemon: error %v after %s, want one after a second", err, time.Since(start))
	}
	pushed := make(chan error, 1)
	go func() {
		_, err := s.Push(t.Context(), "hang/b:1", nil)
		pushed <- err
	}()
	if err := d.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-pushed; err != nil {
		t.Errorf("Push after the daemon has resumed: %v", err)
	}
}

// TestPush_UploadsEachBlobOnceFor200Callers simulates the concurrent pushes that a large Deployment causes.
func TestPush_UploadsEachBlobOnceFor200Callers(t *testing.T) {
	t.Parallel()
	eachDaemon(t, func(t *testing.T, d *daemon) {
		noise(t, d, "rush/a:1", 1_000_000, 40)
		s := newService(t, d, t.TempDir())
		var callers sync.WaitGroup
		digests := make([]string, 200)
		for i := range digests {
			callers.Go(func() {
				result, err := s.Push(t.Context(), "rush/a:1", nil)
				if err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
				digests[i] = result.Digest.String()
			})
		}
		callers.Wait()
		for i, digest := range digests {
			if digest != digests[0] {
				t.Errorf("caller %d got %s, caller 0 %s", i, digest, digests[0])
			}
		}
		if uploads := metric(t, s.url, "kind_local_registry_blob_uploads_total"); uploads != "3" {
			t.Errorf("%s uploads, want 3: two layers and the config", uploads)
		}
	})
}
