package registry_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/inventory"
)

// inUse is a set of images that clients are using, and of pushes through the socket.
type inUse struct {
	mu     sync.Mutex
	images map[digest.Digest]int
	begun  map[int]time.Time // when the push of each client began
}

// begin records that a client begins a push through the socket. The caller must call end when the push has ended.
func (u *inUse) begin(client int) (end func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begun[client] = time.Now()
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.begun, client)
	}
}

// oldest returns when the oldest push through the socket began, or now if that is earlier.
func (u *inUse) oldest(now time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, begun := range u.begun {
		if begun.Before(now) {
			now = begun
		}
	}
	return now
}

// add changes how many clients use the image.
func (u *inUse) add(d digest.Digest, change int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.images[d] += change
}

// unused returns the images that no client uses.
func (u *inUse) unused(images []inventory.Image) []inventory.Reference {
	u.mu.Lock()
	defer u.mu.Unlock()
	var found []inventory.Reference
	for _, image := range images {
		if u.images[image.Digest] == 0 {
			found = append(found, image.Reference)
		}
	}
	return found
}

// TestRemove_NeverBreaksConcurrentPushes has several clients push images that share layers to the same tags, and pull what they
// have pushed, while every image that no client uses is removed again and again.
func TestRemove_NeverBreaksConcurrentPushes(t *testing.T) {
	t.Parallel()
	rounds := 15
	if os.Getenv("E2E_FULL") != "" {
		rounds = 300
	}
	o := startOurs(t, t.TempDir())
	base := randomImage(t)
	used := &inUse{images: map[digest.Digest]int{}, begun: map[int]time.Time{}}
	ctx, stop := context.WithCancel(t.Context())
	removed := make(chan int)
	go func() { removed <- o.removeUnused(ctx, t, used) }()

	var clients errgroup.Group
	for i := range 4 {
		images := []v1.Image{build(t, base), build(t, base), base}
		clients.Go(func() error {
			for round := range rounds {
				if err := o.pushAndPull(t, fmt.Sprintf("a/%d:1", i%2), images[round%len(images)], used, i); err != nil {
					return fmt.Errorf("client %d, round %d: %w", i, round, err)
				}
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	if count := <-removed; count < rounds {
		t.Errorf("%d images were removed, want at least %d", count, rounds)
	}
	if checked := o.verify(t, false); len(checked.Faults)+len(checked.Damaged) > 0 {
		t.Errorf("Verify after the removals = %+v, want no fault", checked)
	}
}

// removeUnused removes unused images until ctx ends, and returns how many it has removed.
func (o ours) removeUnused(ctx context.Context, t *testing.T, used *inUse) (count int) {
	for ctx.Err() == nil {
		listed, err := o.Inventory(context.WithoutCancel(ctx))
		if err != nil {
			t.Error(err)
			return count
		}
		removal := inventory.Removal{Images: used.unused(listed.Images), UnusedSince: used.oldest(listed.Time)}
		done, err := o.Remove(context.WithoutCancel(ctx), removal)
		if err != nil {
			t.Error(err)
			return count
		}
		count += len(done.Images)
	}
	return count
}

// pushAndPull pushes an image and pulls it. Every other client pushes through the socket, like the pusher, and the others over TCP,
// like docker push.
func (o ours) pushAndPull(t *testing.T, reference string, image v1.Image, used *inUse, client int) error {
	d := digest.Digest(digestOf(t, image))
	used.add(d, 1)
	defer used.add(d, -1)
	host, with := o.host, options(t)
	end := func() {}
	if client%2 == 0 {
		end = used.begin(client)
		host, with = "localhost:5001", []remote.Option{remote.WithContext(t.Context()), remote.WithTransport(o.transport(t))}
	}
	err := remote.Write(parse(t, host+"/"+reference), image, with...)
	end()
	if err != nil {
		return fmt.Errorf("pushing: %w", err)
	}
	repository, _, _ := strings.Cut(reference, ":")
	pulled, err := remote.Image(parse(t, o.host+"/"+repository+"@"+d.String()), options(t)...)
	if err == nil {
		err = validate.Image(pulled)
	}
	if err != nil {
		return fmt.Errorf("pulling: %w", err)
	}
	return nil
}
