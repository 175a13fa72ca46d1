package pusher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/promise"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// pauses are the pauses before pushes of promised images.
type pauses struct {
	// first is how long the first attempt waits, so that it does not slow down the pods that are starting.
	first time.Duration
	// retryMin and retryMax are the shortest and the longest pause before a push is retried.
	retryMin, retryMax time.Duration
}

// defaultPauses returns the pauses outside of tests.
func defaultPauses() pauses {
	return pauses{first: 3 * time.Second, retryMin: 5 * time.Second, retryMax: 2 * time.Minute}
}

// Linker knows which images nodes can get as hard links.
type Linker interface {
	// Check reports whether the layers with those diffIDs can be linked.
	Check(ctx context.Context, diffIDs []digest.Digest) (linkapi.State, error)
	// Prelink gives the layers with those diffIDs to the nodes that have run an earlier build of the image.
	Prelink(ctx context.Context, diffIDs []digest.Digest) error
	// Nodes reports which nodes can get layers as hard links.
	Nodes(ctx context.Context) ([]linkapi.Node, error)
	// Present reports how many of the layers with those diffIDs each node has.
	Present(ctx context.Context, diffIDs []digest.Digest) ([]linkapi.NodeLayers, error)
	// Break makes sure that the last of those layers is never linked again on top of the others.
	Break(ctx context.Context, diffIDs []digest.Digest) error
}

// ErrNoPromise is the error for an image that cannot be promised and must be pushed.
var ErrNoPromise = errors.New("the image cannot be promised")

// UseLinker lets the service promise images whose layers nodes can get as hard links. It must be called before the service is
// used.
func (s *Service) UseLinker(linker Linker) { s.linker = linker }

// Resume pushes, in the background, the images that an earlier process promised.
func (s *Service) Resume() {
	s.background.Go(func() {
		for _, p := range s.promises(s.ctx) {
			s.fulfil(p)
		}
	})
}

// promises waits until the registry answers, and returns its promises. A registry that is not ours has none.
func (s *Service) promises(ctx context.Context) []promise.Promise {
	for {
		promised, err := s.registry.Promises(ctx)
		refused, ok := errors.AsType[*push.StatusError](err)
		if err == nil || ok && refused.Code == http.StatusNotFound {
			return promised
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.pauses.retryMin):
		}
	}
}

// Promise makes the registry serve the host's image before the registry has the layers, and returns the digest of the image
// manifest. Nodes get the layers as hard links, and the image is pushed in the background. A name in the registry itself cannot be
// promised: pods use it by its tag, and a promised image manifest is served by digest only. The error wraps ErrNoPromise if the
// image cannot be promised. It is a *rewrite.Refusal if the image cannot be pushed either.
func (s *Service) Promise(ctx context.Context, original string) (digest.Digest, error) {
	name, err := parseName(original)
	if err != nil {
		return "", err
	}
	target, err := s.resolve(name)
	if err != nil {
		return "", err
	}
	if s.linker == nil || name.Digest() != "" || name.Host() == s.host {
		return "", fmt.Errorf("promising %s: %w", original, ErrNoPromise)
	}
	image, err := s.find(ctx, name)
	if err == nil {
		err = image.Refusal()
	}
	if err != nil {
		return "", err
	}
	d, err := s.promise(ctx, original, target, image)
	s.metrics.promised(err)
	if err != nil {
		return "", fmt.Errorf("promising %s: %w", original, err)
	}
	return d, nil
}

// Nodes reports which nodes can get layers as hard links. The error wraps ErrNoPromise if no image is promised.
func (s *Service) Nodes(ctx context.Context) ([]linkapi.Node, error) {
	if s.linker == nil {
		return nil, ErrNoPromise
	}
	return s.linker.Nodes(ctx)
}

// NodeLayers reports how many layers of the host's image each node has. It returns nil if linking is off. The error is a
// *rewrite.Refusal if the host does not have the image.
func (s *Service) NodeLayers(ctx context.Context, original string) ([]linkapi.NodeLayers, error) {
	name, err := parseName(original)
	if err != nil || s.linker == nil {
		return nil, err
	}
	image, err := s.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.linker.Present(ctx, image.Layers)
}

// promise promises the image at the target, and starts its push.
func (s *Service) promise(ctx context.Context, original string, target push.Target, image docker.Image) (digest.Digest, error) {
	state, err := s.linker.Check(ctx, image.Layers)
	if err != nil {
		return "", errors.Join(ErrNoPromise, err)
	}
	if state.Unlinkable != "" {
		return "", fmt.Errorf("%w: %s: %s", ErrNoPromise, state.Unlinkable, state.Detail)
	}
	contents, err := s.docker.Contents(ctx, image)
	if rewrite.ReasonOf(err) != "" {
		return "", err
	}
	if err != nil {
		return "", errors.Join(ErrNoPromise, err)
	}
	sizes, err := s.docker.Sizes(ctx, image)
	if err != nil {
		return "", errors.Join(ErrNoPromise, err)
	}
	promised, err := s.registry.Promise(ctx, target, contents, sizes, promise.Promise{Name: original, ImageID: image.ID})
	if err != nil {
		return "", errors.Join(ErrNoPromise, err)
	}
	s.events.available(eventAbout(original, image), promised.Digest())
	if s.fulfil(promised) {
		s.log.LogAttrs(ctx, slog.LevelInfo, "image promised", slog.String("image", original),
			slog.String("digest", promised.Digest().String()), slog.Int64("bytes", image.Size))
	}
	return promised.Digest(), nil
}

// prelink gives the layers of a promised image to the nodes that have run an earlier build. If it fails, the layers are linked
// when a pod's image is pulled.
func (s *Service) prelink(ctx context.Context, name rewrite.Name) {
	image, err := s.find(ctx, name)
	if err == nil {
		err = s.linker.Prelink(ctx, image.Layers)
	}
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelInfo, "image not linked in advance", slog.String("image", name.String()),
			slog.String("error", err.Error()))
	}
}

// Deliver promises the host's image or, if that is impossible, pushes it like Push.
func (s *Service) Deliver(ctx context.Context, original string, progress func(push.Progress)) (push.Result, error) {
	d, err := s.Promise(ctx, original)
	if err == nil {
		return push.Result{Digest: d, Promised: true}, nil
	}
	if ctx.Err() != nil {
		return push.Result{}, ctx.Err()
	}
	return s.Push(ctx, original, progress)
}

// fulfil queues the push of a promised image. It returns false if the push is already queued or running.
func (s *Service) fulfil(p promise.Promise) bool {
	key := p.Repository + "@" + p.Digest().String()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, queued := s.promised[key]; queued || s.ctx.Err() != nil {
		return false
	}
	s.promised[key] = p
	s.background.Go(func() {
		s.keepPromise(s.ctx, p)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.promised, key)
	})
	return true
}

// keepPromise pushes the image until that succeeds. It withdraws the promise if the push can never succeed.
func (s *Service) keepPromise(ctx context.Context, p promise.Promise) {
	pause, retry := s.pauses.first, s.pauses.retryMin
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		start := time.Now()
		result, err := s.pushPromised(ctx, p)
		if ctx.Err() != nil {
			return
		}
		logPush(ctx, s.log, p.Name, result, time.Since(start), err)
		if err == nil {
			return
		}
		if isFinal(err) {
			s.withdraw(ctx, p, err)
			return
		}
		pause, retry = retry, min(2*retry, s.pauses.retryMax)
	}
}

// pushPromised pushes the image to its tag when its turn comes. If the host's tag has moved to another image in the meantime, it
// pushes the image to its digest instead.
func (s *Service) pushPromised(ctx context.Context, p promise.Promise) (push.Result, error) {
	if err := s.turns.Acquire(ctx, 1); err != nil { // in the order of the promises
		return push.Result{}, err
	}
	defer s.turns.Release(1)
	if !s.awaitIdle(ctx) {
		return push.Result{}, ctx.Err()
	}
	image, err := s.docker.Image(ctx, p.ImageID.String())
	if err != nil {
		return push.Result{}, err
	}
	target := push.Target{Repository: p.Repository, Reference: p.Digest().String()}
	if name, err := parseName(p.Name); err == nil {
		if current, err := s.find(ctx, name); err == nil && current.ID == image.ID {
			target.Reference, image.Name = name.Tag(), current.Name
		}
	}
	return s.push(ctx, p.Name, target, image, nil)
}

// isFinal reports whether err is an error of a push that a retry cannot avoid.
func isFinal(err error) bool {
	reason := rewrite.ReasonOf(err)
	return reason != "" && reason != rewrite.NoSpace
}

// withdraw ends a promise that cannot be kept.
func (s *Service) withdraw(ctx context.Context, p promise.Promise, cause error) {
	s.metrics.withdrawn.Inc()
	s.noteBroken(p, reasonWithdrawn, "the image cannot be pushed, so no further node can pull it: "+cause.Error())
	s.log.LogAttrs(ctx, slog.LevelWarn, "promise withdrawn: pods can no longer pull the image", slog.String("image", p.Name),
		slog.String("digest", p.Digest().String()), slog.String("error", cause.Error()))
	if err := s.registry.Withdraw(ctx, p.Repository, p.Digest()); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "promise not withdrawn", slog.String("image", p.Name), slog.String("error", err.Error()))
	}
}

// breakLayers tells the linker never to link the layers again whose content did not match their digests.
func (s *Service) breakLayers(ctx context.Context, image docker.Image, cause error) {
	s.log.LogAttrs(ctx, slog.LevelWarn, "layers do not match their digests, they are not linked again",
		slog.String("imageID", image.ID.String()), slog.String("error", cause.Error()))
	for _, p := range s.promisesOf(image.ID) {
		s.noteBroken(p, reasonChanged, "files below Docker's data directory have changed, and containers may see the changes: "+cause.Error())
	}
	for _, layers := range brokenLayers(image.Layers, push.Mismatched(cause)) {
		if err := s.linker.Break(ctx, layers); err != nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "broken layers not reported to the linker", slog.String("error", err.Error()))
		}
	}
}

// brokenLayers returns each broken layer of an image with the layers below it. If the blobs are compressed, it is unknown which
// layers they contain, and the lowest layer is returned, which breaks the whole image.
func brokenLayers(diffIDs, blobs []digest.Digest) (broken [][]digest.Digest) {
	for i, diffID := range diffIDs {
		if slices.Contains(blobs, diffID) {
			broken = append(broken, diffIDs[:i+1])
		}
	}
	if len(broken) == 0 && len(diffIDs) > 0 {
		return [][]digest.Digest{diffIDs[:1]}
	}
	return broken
}
