package host

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"kind-local-registry/config"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

// parallelCalls is how many images the pusher is asked for at a time. It moves fewer, in the order of the calls.
const parallelCalls = 8

// ErrCancelled is the error of an image whose push was under way, or waited for others, when the context ended.
var ErrCancelled = errors.New("cancelled")

// Pushed is what became of one image that was to be pushed.
type Pushed struct {
	// Image is the reference as it was given.
	Image string
	// Rewritten is the reference in the registry, HOST/NAME:TAG@DIGEST; "" where the image is not there.
	Rewritten string
	// Result says what was moved.
	Result push.Result
	// Duration is the time from asking for the push to its end, also that of waiting for other pushes.
	Duration time.Duration
	// Err is why the image is not in the registry, with what a person can do about it; nil where it is.
	Err error
}

// Reason is why the image cannot be pushed however often that is tried; "" where it was pushed, or where it may pass.
func (p Pushed) Reason() rewrite.Reason {
	if refusal := (*rewrite.Refusal)(nil); errors.As(p.Err, &refusal) {
		return refusal.Reason
	}
	return ""
}

// PushObserver is told of each image, by its place among those that are pushed, from several goroutines: Pushing some
// times, never twice at a time for one image, and then Pushed once.
type PushObserver interface {
	Pushing(image int, now push.Progress)
	Pushed(image int, pushed Pushed)
}

// CheckImages reports every reference that names no image. It asks nobody.
func CheckImages(images []string) error {
	var faults []error
	for _, image := range images {
		_, err := rewrite.Parse(image)
		switch {
		case idLike.MatchString(image):
			faults = append(faults, remedy(fmt.Errorf("%s is the ID of an image and pods need a name", image),
				"give the name that docker image ls shows for it, or one that docker tag gives it"))
		case err != nil:
			faults = append(faults, remedy(err, "name an image as docker build --tag takes it"))
		}
	}
	return errors.Join(faults...)
}

// idLike matches what Docker shows as an image's ID, in full and short. An image whose name looks like that is meant by
// its name with a tag.
var idLike = regexp.MustCompile(`^(sha256:[0-9a-f]+|[0-9a-f]{12,64})$`)

// Push has the pusher push the images, and returns what became of each, in their order. The error, with a remedy, says
// why nothing can be pushed at all. What is under way when ctx ends is cancelled, unless a pod waits for it too.
func (s *System) Push(ctx context.Context, images []string, observer PushObserver) ([]Pushed, error) {
	client, err := s.ConnectPusher(ctx)
	if err != nil {
		return nil, fmt.Errorf("nothing can be pushed: %w", err)
	}
	defer client.Close()
	return pushAll(ctx, pushing{client, s.registryHost(), observer}, images), nil
}

// ConnectPusher returns a client of a pusher that is as setup up leaves it, beside a registry that answers.
func (s *System) ConnectPusher(ctx context.Context) (*pusher.Client, error) {
	for _, check := range []func(context.Context) (State, error){s.checkRegistry, s.checkPusher} {
		state, err := check(ctx)
		if err == nil && !state.OK {
			err = remedy(errors.New(state.Detail), state.advice())
		}
		if err != nil {
			return nil, err
		}
	}
	found, err := s.find(ctx, config.PusherContainer)
	if err != nil {
		return nil, err
	}
	if found == nil || published(found, config.PusherPort) == "" {
		return nil, remedy(fmt.Errorf("container %s publishes no port", config.PusherContainer), State{}.advice())
	}
	credentials, err := s.pusherCredentials(ctx, config.PusherContainer)
	if err != nil {
		return nil, err
	}
	security, err := pusher.ClientTLS(credentials.CA, credentials.ClientCert, credentials.ClientKey)
	if err != nil {
		return nil, err
	}
	return pusher.NewClient(published(found, config.PusherPort), security), nil
}

// pushing is what pushes images, the registry's host in references, and who is told.
type pushing struct {
	to interface {
		Push(ctx context.Context, name string, progress func(push.Progress)) (push.Result, error)
	}
	registryHost string
	observer     PushObserver
}

// pushAll pushes the images, some at a time.
func pushAll(ctx context.Context, with pushing, images []string) []Pushed {
	results := make([]Pushed, len(images))
	var group errgroup.Group
	group.SetLimit(parallelCalls)
	for i, image := range images {
		group.Go(func() error {
			results[i] = with.push(ctx, image, func(now push.Progress) { with.observer.Pushing(i, now) })
			with.observer.Pushed(i, results[i])
			return nil
		})
	}
	_ = group.Wait() // what went wrong stands with each image
	return results
}

// push pushes one image.
func (p pushing) push(ctx context.Context, image string, progress func(push.Progress)) Pushed {
	start := time.Now()
	result, err := p.to.Push(ctx, image, progress)
	pushed := Pushed{Image: image, Result: result, Duration: time.Since(start), Err: err}
	if err == nil {
		pushed.Rewritten, pushed.Err = p.rewritten(image, result)
		return pushed
	}
	if refusal := (*rewrite.Refusal)(nil); errors.As(err, &refusal) {
		pushed.Err = remedy(refusal, refusalAdvice(refusal.Reason))
	} else if ctx.Err() != nil {
		pushed.Err = ErrCancelled
	} else {
		pushed.Err = remedy(err, "see docker logs "+config.PusherContainer+", and setup status")
	}
	return pushed
}

// rewritten returns the reference by which pods run what was pushed.
func (p pushing) rewritten(image string, result push.Result) (string, error) {
	name, err := rewrite.Parse(image)
	if err != nil {
		return "", err
	}
	target, err := name.Target(p.registryHost)
	return target + "@" + result.Digest.String(), err
}

// refusalAdvice is what a person can do about an image that cannot be pushed; docs/reasons.md says more.
func refusalAdvice(reason rewrite.Reason) string {
	switch reason {
	case rewrite.NotOnHost:
		return "build it first, or compare name and tag with docker image ls"
	case rewrite.DigestNotHeld:
		return "name it by its tag, without a digest"
	case rewrite.WrongPlatform:
		return "build it with docker build --platform linux/" + runtime.GOARCH
	case rewrite.Unservable:
		return "build it anew"
	case rewrite.NoSpace:
		return "make room: docker system df tells what takes it, docs/operations.md how to empty the registry"
	case rewrite.Unmappable, rewrite.InvalidReference:
		return "give it another name with docker tag, and use that one"
	case rewrite.ExcludedByRule:
		return "change the rules with setup up --rules FILE"
	default:
		return "see docs/reasons.md"
	}
}
