package pusher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// Push pushes the host's image into the registry, and returns the digest of its image manifest there. original is the image
// reference as the pod's author wrote it. Concurrent calls for one image share one push, which is cancelled when the last caller
// has left. Unless progress is nil, Push calls it immediately and then at most four times per second. Calls to progress are never
// concurrent, and progress must not block. The error is a *rewrite.Refusal if the image cannot be pushed. After any other error,
// a retry may succeed.
func (s *Service) Push(ctx context.Context, original string, progress func(push.Progress)) (push.Result, error) {
	name, err := parseName(original)
	if err != nil {
		return push.Result{}, err
	}
	target, err := s.resolve(name)
	if err != nil {
		return push.Result{}, err
	}
	if name.Digest() != "" {
		return s.pushDigest(ctx, name, target, progress)
	}
	image, err := s.find(ctx, name)
	if err != nil {
		return push.Result{}, err
	}
	if err := image.Refusal(); err != nil {
		return push.Result{}, err
	}
	return s.push(ctx, original, target, image, progress)
}

// push joins the running push of the image to the target, or starts one. name is the image reference to log.
func (s *Service) push(
	ctx context.Context, name string, target push.Target, image docker.Image, progress func(push.Progress),
) (push.Result, error) {
	key := fmt.Sprintf("%s:%s@%s", target.Repository, target.Reference, image.ID)
	run := func(ctx context.Context, report func(push.Progress)) (push.Result, error) {
		about := eventAbout(name, image)
		s.events.pushing(about, push.Progress{})
		result, err := s.pushInTurn(ctx, name, target, image, func(p push.Progress) {
			s.events.pushing(about, p)
			report(p)
		})
		s.events.pushed(about, result.Digest, err)
		return result, err
	}
	result, _, err := s.pushes.Do(ctx, key, progress, run)
	return result, err
}

// pushInTurn waits until it may push, and pushes the image to the target. Waiting pushes start in the order in which they arrived.
func (s *Service) pushInTurn(
	ctx context.Context, name string, target push.Target, image docker.Image, progress func(push.Progress),
) (push.Result, error) {
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return push.Result{}, err
	}
	defer s.slots.Release(1)
	s.log.LogAttrs(ctx, slog.LevelInfo, "pushing image", slog.String("image", name), slog.Int64("bytes", image.Size))
	start, end := time.Now(), s.running.begin()
	result, err := s.copy(ctx, target, image, progress)
	end(err)
	s.metrics.pushed(result, time.Since(start), err)
	return result, err
}

// copy reads the image from the daemon and uploads it to the target.
func (s *Service) copy(
	ctx context.Context, target push.Target, image docker.Image, progress func(push.Progress),
) (push.Result, error) {
	contents, err := s.docker.Contents(ctx, image)
	if err != nil {
		return push.Result{}, err
	}
	broken := false
	result, err := s.registry.Push(ctx, target, contents, push.Options{
		Progress: progress, Fallback: func(source string, cause error) {
			s.fallbacks.note(source, cause)
			if s.linker != nil && !broken && errors.Is(cause, push.ErrMismatch) {
				broken = true
				s.breakLayers(ctx, image, cause)
			}
		},
	})
	return result, asRefusal(err)
}

// asRefusal converts the error of a push into a refusal if a retry would fail too. It returns any other error unchanged.
func asRefusal(err error) error {
	switch {
	case errors.Is(err, push.ErrMismatch):
		detail := "the Docker daemon cannot reproduce the image: " + err.Error()
		return &rewrite.Refusal{Reason: rewrite.Unservable, Detail: detail}
	case push.NoSpace(err):
		return &rewrite.Refusal{Reason: rewrite.NoSpace, Detail: err.Error()}
	}
	return err
}

// pushDigest is the variant of Push for a pinned name. It needs the image manifest with the name's digest, either in the registry
// or in the containerd image store, because Docker's own image store keeps no image manifests.
func (s *Service) pushDigest(
	ctx context.Context, name rewrite.Name, target push.Target, progress func(push.Progress),
) (push.Result, error) {
	stored, err := s.registry.Presence(ctx, target)
	if err != nil || stored.Complete {
		return push.Result{Digest: stored.Digest}, err
	}
	image, err := s.find(ctx, name)
	if err == nil && image.Manifest.String() == name.Digest() {
		return s.push(ctx, name.String(), target, image, progress)
	}
	if err != nil && rewrite.ReasonOf(err) == "" {
		return push.Result{}, err
	}
	return push.Result{}, &rewrite.Refusal{
		Reason: rewrite.DigestNotHeld,
		Detail: fmt.Sprintf("neither the registry nor the Docker daemon has image manifest %s of %s", target.Reference, target.Repository),
	}
}
