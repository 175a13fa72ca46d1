package pusher

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/inventory"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// Tagged implements disk.Host.
func (s *Service) Tagged(ctx context.Context) ([]disk.HostImage, error) {
	tagged, err := s.docker.Tagged(ctx)
	if err != nil {
		return nil, err
	}
	images := make([]disk.HostImage, 0, len(tagged))
	for _, image := range tagged {
		images = append(images, disk.HostImage{
			ID: image.ID, Manifest: image.Manifest, Names: image.Names, Digests: image.Digests, Bytes: image.Size,
		})
	}
	return images, nil
}

// runningPushes records the pushes that are running.
type runningPushes struct {
	mu    sync.Mutex
	count int               // of pushes that have begun
	begun map[int]time.Time // when each running push began
	ended chan struct{}     // receives a value after a push has succeeded
}

// newRunningPushes returns the record of no pushes.
func newRunningPushes() *runningPushes {
	return &runningPushes{begun: map[int]time.Time{}, ended: make(chan struct{}, 1)}
}

// begin records that a push begins. The caller must call end when the push has ended.
func (p *runningPushes) begin() (end func(err error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	id := p.count
	p.begun[id] = time.Now()
	return func(err error) {
		p.mu.Lock()
		delete(p.begun, id)
		p.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case p.ended <- struct{}{}:
		default: // the value that is waiting stands for this push, too
		}
	}
}

// OldestPush implements disk.Host.
func (s *Service) OldestPush() time.Time {
	s.running.mu.Lock()
	defer s.running.mu.Unlock()
	var oldest time.Time
	for _, begun := range s.running.begun {
		if oldest.IsZero() || begun.Before(oldest) {
			oldest = begun
		}
	}
	return oldest
}

// Pushed receives a value after one or more images were pushed.
func (s *Service) Pushed() <-chan struct{} { return s.running.ended }

// Restore implements disk.Host. It pushes the build that the registry has lost. If it is unknown which build that was, it pushes
// the build to which the host's tag refers. It refuses images that the rules exclude.
func (s *Service) Restore(ctx context.Context, lost inventory.Fault) (digest.Digest, error) {
	for _, tag := range lost.Tags {
		name, err := rewrite.Parse(s.host + "/" + lost.Repository + ":" + tag)
		if err != nil {
			return "", err
		}
		image, err := s.find(ctx, name)
		if rewrite.ReasonOf(err) == rewrite.NotOnHost {
			continue
		}
		if err != nil {
			return "", err
		}
		if s.mayBe(ctx, image, lost) {
			return s.restore(ctx, name, push.Target{Repository: lost.Repository, Reference: tag}, image)
		}
	}
	if lost.Digest == "" {
		return "", fmt.Errorf("the host has no image %s:%v", lost.Repository, lost.Tags)
	}
	return s.restoreBuild(ctx, lost)
}

// restore pushes the image to the target.
func (s *Service) restore(ctx context.Context, name rewrite.Name, target push.Target, image docker.Image) (digest.Digest, error) {
	if err := image.Refusal(); err != nil {
		return "", err
	}
	result, err := s.push(ctx, name.String(), target, image, nil)
	return result.Digest, err
}

// restoreBuild pushes the build that the registry has lost, whether or not the host has a tag for it.
func (s *Service) restoreBuild(ctx context.Context, lost inventory.Fault) (digest.Digest, error) {
	name, err := rewrite.Parse(s.host + "/" + lost.Repository + "@" + lost.Digest.String())
	if err != nil {
		return "", err
	}
	target, err := s.resolve(name)
	if err != nil {
		return "", err
	}
	ids := []digest.Digest{lost.Config, lost.Digest}
	if lost.Config == "" {
		if ids, err = s.docker.IDs(ctx); err != nil {
			return "", err
		}
	}
	for _, id := range ids {
		if id == "" {
			continue
		}
		image, err := s.docker.Image(ctx, id.String())
		if rewrite.ReasonOf(err) == rewrite.NotOnHost {
			continue
		}
		if err != nil {
			return "", err
		}
		if s.isBuild(ctx, image, lost) {
			return s.restore(ctx, name, target, image)
		}
	}
	return "", fmt.Errorf("the host no longer has this build of %s", lost.Repository)
}

// mayBe reports whether the image is the lost build, or could be because it is unknown which build was lost.
func (s *Service) mayBe(ctx context.Context, image docker.Image, lost inventory.Fault) bool {
	if lost.Digest == "" || s.isBuild(ctx, image, lost) {
		return true
	}
	return lost.Config == "" && s.manifestDigest(ctx, image) == ""
}

// isBuild reports whether a push of the image uploads the image manifest that was lost. For a manifest that other clients have
// made, it compares the config.
func (s *Service) isBuild(ctx context.Context, image docker.Image, lost inventory.Fault) bool {
	if lost.Config != "" && lost.Config == image.ID {
		return true
	}
	return s.manifestDigest(ctx, image) == lost.Digest
}

// manifestDigest returns the digest of the image manifest that a push of the image uploads, or "" if it is unknown.
func (s *Service) manifestDigest(ctx context.Context, image docker.Image) digest.Digest {
	if image.Containerd {
		return image.Manifest
	}
	sizes, err := s.docker.Sizes(ctx, image)
	if err != nil {
		return ""
	}
	return push.Contents{Config: image.ID, Layers: image.Layers}.ManifestDigest(sizes)
}

// manifestOf returns the digest of the image manifest that a push of the image would upload. It returns "" if the digest is
// unknown. For Docker's own image store it uses the blobs' sizes in stored. Only this digest identifies the build on the host:
// another client may have pushed an image with the same config but different layers.
func manifestOf(image docker.Image, stored push.Presence) digest.Digest {
	if image.Containerd {
		return image.Manifest
	}
	return push.Contents{Config: image.ID, Layers: image.Layers}.ManifestDigest(stored.Sizes)
}
