package pusher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"

	"kind-local-registry/internal/coalesce"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/promise"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
)

// maxConcurrentPushes is the maximum number of concurrent pushes. A higher limit would only slow down each push.
const maxConcurrentPushes = 2

// Service looks up images and pushes them. It is safe for concurrent use.
type Service struct {
	docker   *docker.Client
	registry *push.Registry
	host     string
	rules    rules.Rules
	pushes   coalesce.Group[push.Result, push.Progress]
	slots    *semaphore.Weighted

	log       *slog.Logger
	metrics   *metrics
	fallbacks *fallbacks

	tags       tagList
	linker     Linker // nil to promise no image
	pauses     pauses
	ctx        context.Context //nolint:containedctx // of the background pushes; Close cancels it
	cancel     context.CancelFunc
	background sync.WaitGroup
	mu         sync.Mutex
	promised   map[string]promise.Promise // the promised images that have not arrived, by repository and digest
	broken     []BrokenPromise            // the oldest first
	turns      *semaphore.Weighted        // limits the pushes of promised images
	running    *runningPushes
	events     broadcast
}

// NewService returns a service that pushes the daemon's images into the registry. registryHost is the registry's host in image
// references, such as localhost:5001. The service refuses images that the rules exclude, and ignores all other rules. It logs
// when a push starts, and when it falls back from one source to the next.
func NewService(
	daemon *docker.Client, registry *push.Registry, registryHost string, inForce rules.Rules, log *slog.Logger,
) *Service {
	measured := newMetrics()
	ctx, cancel := context.WithCancel(context.Background())
	return &Service{
		ctx: ctx, cancel: cancel, pauses: defaultPauses(), promised: map[string]promise.Promise{}, running: newRunningPushes(),
		docker: daemon, registry: registry, host: registryHost, rules: inForce,
		slots: semaphore.NewWeighted(maxConcurrentPushes), turns: semaphore.NewWeighted(maxConcurrentPushes),
		log: log, metrics: measured, fallbacks: &fallbacks{log: log, metrics: measured},
	}
}

// Close cancels all pushes and waits for them to end. Later pushes fail.
func (s *Service) Close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.pushes.Close()
	s.background.Wait()
}

// Lookup reports which image the host has under the given name, and which one the registry has. For a pinned name, it asks only
// the registry. The error is a *rewrite.Refusal if the name cannot be mapped to the registry or the rules exclude it. Any other
// error means that the daemon or the registry did not respond.
func (s *Service) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	target, err := s.resolve(name)
	if err != nil {
		return rewrite.Presence{}, err
	}
	stored, err := s.registry.Presence(ctx, target)
	if err != nil {
		return rewrite.Presence{}, err
	}
	var presence rewrite.Presence
	if stored.Complete {
		presence.Served, presence.Archive = stored.Digest.String(), stored.Archive
	}
	if name.Digest() != "" {
		presence.Digest = presence.Served
		return presence, nil
	}
	image, err := s.find(ctx, name)
	if rewrite.ReasonOf(err) == rewrite.NotOnHost {
		presence.Similar, presence.Typo = s.similar(ctx, name)
		return presence, nil
	}
	if err != nil {
		return rewrite.Presence{}, err
	}
	presence.OnHost, presence.ImageID = true, image.ID.String()
	presence.Pulled = image.Pulled && name.Host() != s.host
	if refusal, ok := errors.AsType[*rewrite.Refusal](image.Refusal()); ok {
		presence.Refusal, presence.Detail = refusal.Reason, refusal.Detail
	}
	if build := manifestOf(image, stored); build != "" && build == stored.Digest {
		presence.Digest = presence.Served
	}
	return presence, nil
}

// parseName parses an image reference. The error is a refusal if the reference is invalid.
func parseName(image string) (rewrite.Name, error) {
	name, err := rewrite.Parse(image)
	if err != nil {
		return rewrite.Name{}, &rewrite.Refusal{Reason: rewrite.InvalidReference, Detail: err.Error()}
	}
	return name, nil
}

// resolve returns the image's target in the registry. The error is a refusal if the name cannot be mapped to the registry or
// the rules exclude the image.
func (s *Service) resolve(name rewrite.Name) (push.Target, error) {
	repository, err := name.Repository(s.host)
	if err != nil {
		return push.Target{}, &rewrite.Refusal{Reason: rewrite.Unmappable, Detail: err.Error()}
	}
	if _, err := s.allowed(name); err != nil {
		return push.Target{}, err
	}
	return push.Target{Repository: repository, Reference: cmp.Or(name.Digest(), name.Tag())}, nil
}

// find tries the candidate names that the rules allow, in order, and returns the image with the first name that the daemon has.
func (s *Service) find(ctx context.Context, name rewrite.Name) (docker.Image, error) {
	allowed, err := s.allowed(name)
	var image docker.Image
	for _, known := range allowed {
		image, err = s.docker.Image(ctx, known.name)
		if err == nil && !strings.HasPrefix(image.ID.Encoded(), known.idPrefix) {
			err = &rewrite.Refusal{Reason: rewrite.NotOnHost, Detail: known.name + " now refers to another build"}
		}
		if rewrite.ReasonOf(err) != rewrite.NotOnHost {
			break
		}
	}
	return image, err
}

// allowed returns the name's candidates that no rule excludes. If there are none, the error is a refusal. If a rule excludes an
// image, the image's name in the registry is excluded too.
func (s *Service) allowed(name rewrite.Name) ([]candidate, error) {
	var rule string
	allowed := slices.DeleteFunc(s.candidates(name), func(c candidate) bool {
		excluding := s.rules.ExcludesImage(c.name)
		rule = cmp.Or(rule, excluding)
		return excluding != ""
	})
	if len(allowed) == 0 {
		return nil, &rewrite.Refusal{Reason: rewrite.ExcludedByRule, Detail: fmt.Sprintf("%s: %s", name, rule)}
	}
	return allowed, nil
}

// candidate is a reference that may name an image in the daemon, and a prefix that the image's ID must have.
type candidate struct{ name, idPrefix string }

// candidates returns the references by which the daemon may know the image. The first is the name itself. If the name is in the
// local registry, the name's aliases follow. If the name has a build tag, the name with the image's own tag is an alias only
// while it refers to that build.
func (s *Service) candidates(name rewrite.Name) []candidate {
	_, idPrefix, _ := name.Build()
	candidates := []candidate{{name: name.String()}}
	for _, alias := range name.Aliases(s.host) {
		c := candidate{name: alias.String()}
		if alias.Tag() != name.Tag() {
			c.idPrefix = idPrefix
		}
		candidates = append(candidates, c)
	}
	return candidates
}
