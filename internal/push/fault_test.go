package push_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
)

func TestPush_LeavesNoTagAfterASourceError(t *testing.T) {
	t.Parallel()
	corrupt := dockertest.Noise(100_000, 1)
	corrupt.Open = dockertest.Noise(100_000, 2).Open
	short := dockertest.Noise(100_000, 3)
	short.Open = dockertest.Noise(50_000, 3).Open
	for name, test := range map[string]struct {
		layer    dockertest.Blob
		truncate int64
		want     string
	}{
		"the stream breaks off in a layer":       {dockertest.Noise(100_000, 1), 60_000, "unexpected EOF"},
		"the stream ends before a layer":         {dockertest.Noise(100_000, 1), 1024, "unexpected EOF"},
		"the daemon sends other content":         {corrupt, 0, "DIGEST_INVALID"},
		"the daemon sends less than it declared": {short, 0, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.engine.Truncate(test.truncate)
			_, err := e.push(t, dockertest.NewImage("a", test.layer))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Push = %v, want an error with %q", err, test.want)
			}
			e.wantNothingVisible(t)
		})
	}
}

func TestPush_ReturnsErrMismatchFromLastSource(t *testing.T) {
	t.Parallel()
	corrupt, short := dockertest.Noise(100_000, 1), dockertest.Noise(100_000, 1)
	corrupt.Open = dockertest.Noise(100_000, 2).Open
	short.Open = dockertest.Noise(50_000, 1).Open
	source := func(e env, layer dockertest.Blob) push.Source {
		return e.sources(t, dockertest.NewImage("a", layer))[0]
	}
	for name, test := range map[string]struct {
		first, last dockertest.Blob
		want        bool
	}{
		"both sources give other content":                    {corrupt, corrupt, true},
		"the first breaks off, the last gives other content": {short, corrupt, true},
		"the first gives other content, the last breaks off": {corrupt, short, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, last := newEnv(t), newEnv(t)
			image := dockertest.NewImage("a", test.first)
			contents := wanted(image, source(first, test.first), source(last, test.last))
			_, err := last.registry.Push(t.Context(), target(), contents, push.Options{})
			if err == nil || errors.Is(err, push.ErrMismatch) != test.want {
				t.Errorf("Push = %v, want that it is ErrMismatch: %t", err, test.want)
			}
		})
	}
}

func TestPush_UploadsOnlyWhatABrokenPushLeft(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	layers := []dockertest.Blob{dockertest.Noise(100_000, 1), dockertest.Noise(100_000, 2)}
	image := dockertest.NewImage("a", layers...)
	e.engine.Truncate(150_000)
	if _, err := e.push(t, image); err == nil {
		t.Fatal("Push of a stream that breaks off: no error")
	}
	e.engine.Truncate(0)
	if result := e.mustPush(t, image); result.Present == 0 {
		t.Errorf("Push = %+v, want the first layer present", result)
	}
}

func TestPush_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	ctx, cancel := context.WithCancel(t.Context())
	// The source sends the first half of the layer and then stalls.
	layer := dockertest.Noise(10_000_000, 1)
	open := layer.Open
	layer.Open = func() io.Reader { return io.MultiReader(io.LimitReader(open(), 5_000_000), stalled{ctx, cancel}) }
	image := dockertest.NewImage("a", layer)
	_, err := e.registry.Push(ctx, target(), wanted(image, e.sources(t, image)...), push.Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Push = %v, want %v", err, context.Canceled)
	}
	e.wantNothingVisible(t)
}

func TestPush_RepairsDamagedBlobsAndManifests(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(content []byte) []byte{
		"empty":                 func([]byte) []byte { return nil },
		"without its last byte": func(content []byte) []byte { return content[:len(content)-1] },
		"with one flipped bit":  func(content []byte) []byte { content[len(content)/2] ^= 1; return content },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			image := dockertest.NewImage("a", dockertest.Layer("one"), dockertest.Layer("two"))
			first := e.mustPush(t, image)
			for _, d := range []digest.Digest{image.ID(), image.Layers[0].Digest, first.Digest} {
				e.damage(t, d, damage)
				presence, err := e.registry.Presence(t.Context(), target())
				if err != nil || presence.Complete {
					t.Errorf("Presence with blob %s damaged = %+v (error %v), want it incomplete", d, presence, err)
				}
				e.mustPush(t, image)
				pulled, err := e.pull(t)
				if err != nil {
					t.Fatalf("pulling after blob %s was damaged: %v", d, err)
				}
				wantLayers(t, pulled, wanted(image).Layers)
			}
		})
	}
}

func TestNewRegistry_RejectsInvalidAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "kind-registry:5000", "unix://x/y", "unix:x", "http://", "://"} {
		if _, err := push.NewRegistry(address); err == nil {
			t.Errorf("NewRegistry(%q): no error", address)
		}
	}
}

// stalled is a reader that cancels ctx and then blocks until ctx ends.
type stalled struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// Read cancels the context and blocks until it has ended.
func (s stalled) Read([]byte) (int, error) {
	s.cancel()
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// damage changes a blob on the registry's disk, as a power failure might.
func (e env) damage(t *testing.T, d digest.Digest, change func([]byte) []byte) {
	t.Helper()
	name := filepath.Join(e.root, "docker/registry/v2/blobs/sha256", d.Encoded()[:2], d.Encoded(), "data")
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, change(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
