package disk_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/rewrite/rewritetest"
)

const (
	apps = 3
	// buildSize is the size of each build's own layer in bytes, and limit is the registry's limit: enough for the builds that are
	// in use, and for a few more.
	buildSize = 100_000
	limit     = (apps + 4) * buildSize
)

// TestPrune_NeverBreaksImagesInUse rebuilds and deploys images again and again. In the meantime, the limit is applied in the
// background, another client pushes images over TCP, and nodes pull the images of running pods.
func TestPrune_NeverBreaksImagesInUse(t *testing.T) {
	t.Parallel()
	rounds := 25
	if os.Getenv("E2E_FULL") != "" {
		rounds = 1000
	}
	e := newEnv(t, limit)
	ctx, stop := context.WithCancel(t.Context())
	var background errgroup.Group
	background.Go(func() error { e.pruner.Keep(ctx, e.service.Pushed()); return nil })
	background.Go(func() error { return e.pullRunning(ctx, t) })
	background.Go(func() error { return e.dockerPush(ctx) })

	var most, after int64
	for round := range rounds {
		app := round % apps
		if err := e.deploy(t, app, round); err != nil {
			t.Errorf("round %d: %v", round, err)
			break
		}
		most = max(most, e.size(t))
		keep := int64(limit)
		e.prune(t, disk.Options{Keep: &keep})
		after = max(after, e.size(t))
	}
	stop()
	if err := background.Wait(); err != nil {
		t.Error(err)
	}

	// The other client's images have one small layer each, and the files that are not blobs take up little space.
	const small = buildSize / 2
	t.Logf("%d rounds: at most %d bytes after a push, and %d after the limit was applied; the limit is %d", rounds, most, after, limit)
	if after > limit+small {
		t.Errorf("after the limit was applied, the registry had up to %d bytes, want at most %d", after, limit+small)
	}
	if most > limit+buildSize+small {
		t.Errorf("after a push, the registry had up to %d bytes, want at most the limit plus one image, %d", most, limit+buildSize+small)
	}
	e.wantIntact(t)
	if images, err := e.cluster.Images(t.Context(), "", ""); len(images) > rounds/2 || err != nil {
		t.Errorf("the node still has %d images", len(images))
	}
}

// wantIntact fails the test unless the images of all pods can be pulled, and the registry has no faulty image.
func (e env) wantIntact(t *testing.T) {
	t.Helper()
	for _, pod := range e.cluster.names() {
		image, release := e.cluster.hold(pod)
		if err := e.pull(t.Context(), image); err != nil {
			t.Errorf("pod %s: %v", pod, err)
		}
		release()
	}
	if verified := e.verify(t, false); len(verified.Faults) > 0 {
		t.Errorf("Verify = %+v, want no fault", verified)
	}
}

// deploy rebuilds an app's image and replaces the app's pod.
func (e env) deploy(t *testing.T, app, round int) error {
	image := fmt.Sprintf("example/app%d:local", app)
	e.build(t, image, round, buildSize)
	pod, old := fmt.Sprintf("app%d-%d", app, round), fmt.Sprintf("app%d-%d", app, round-apps)
	target, gated := registryHost+"/"+image, false
	err := e.cluster.admit(pod, func() (string, error) {
		presence, err := e.service.Lookup(t.Context(), rewritetest.Name(t, image))
		if err != nil || presence.Digest == "" {
			gated = true
			return target, err
		}
		return target + "@" + presence.Digest, nil
	})
	if err != nil {
		return fmt.Errorf("looking up %s: %w", image, err)
	}
	if gated {
		pushed, err := e.service.Push(t.Context(), image, nil)
		if err != nil {
			return fmt.Errorf("pushing %s: %w", image, err)
		}
		if err := e.cluster.admit(pod, func() (string, error) { return target + "@" + pushed.Digest.String(), nil }); err != nil {
			return err
		}
	}
	running, release := e.cluster.hold(pod)
	err = e.pull(t.Context(), running)
	release()
	e.cluster.remove(old)
	return err
}

// pullRunning pulls the images of running pods until ctx ends, as new nodes would.
func (e env) pullRunning(ctx context.Context, t *testing.T) error {
	for ctx.Err() == nil {
		for _, pod := range e.cluster.names() {
			image, release := e.cluster.hold(pod)
			var err error
			if image != "" && rewritetest.Name(t, image).Digest() != "" {
				err = e.pull(context.WithoutCancel(ctx), image)
			}
			release()
			if err != nil {
				return fmt.Errorf("pod %s: %w", pod, err)
			}
		}
	}
	return nil
}

// dockerPush pushes two images over TCP until ctx ends, like docker push. The images share a layer with each other, and no pod
// uses them.
func (e env) dockerPush(ctx context.Context) error {
	shared, err := random.Layer(1000, "application/vnd.oci.image.layer.v1.tar")
	if err != nil {
		return err
	}
	for i := 0; ctx.Err() == nil; i++ {
		image, err := mutate.Config(empty.Image, v1.Config{Hostname: fmt.Sprint(i % 2)})
		if err == nil {
			image, err = mutate.AppendLayers(image, shared)
		}
		if err != nil {
			return err
		}
		reference, err := name.ParseReference(fmt.Sprintf("%s/other:%d", e.host, i%2))
		if err != nil {
			return err
		}
		if err := remote.Write(reference, image, e.options(context.WithoutCancel(ctx))...); err != nil {
			return fmt.Errorf("pushing %s: %w", reference, err)
		}
	}
	return nil
}
