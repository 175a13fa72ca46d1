package images

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// maxConcurrentPushes is how many pushes are requested concurrently. The pusher works on fewer, in the order of the requests.
const maxConcurrentPushes = 8

// ErrCancelled is the error of an image whose push was running, or waited for others, when the context ended.
var ErrCancelled = errors.New("cancelled")

// Pushed is the outcome of the push of one image.
type Pushed struct {
	// Image is the reference as the user gave it.
	Image string
	// Rewritten is the reference in the registry, HOST/NAME:TAG@DIGEST; "" if the push failed.
	Rewritten string
	// Result says how much was copied.
	Result push.Result
	// Duration is the time from the request to its end, including the wait for other pushes.
	Duration time.Duration
	// Err is why the image was not pushed, with a remedy; nil if it is in the registry.
	Err error
}

// Reason returns why the image can never be pushed; "" if it was pushed, or if a retry may succeed.
func (p Pushed) Reason() rewrite.Reason { return rewrite.ReasonOf(p.Err) }

// Observer follows the pushes; image is an index into the images. It is called concurrently: Pushing any number of times, but
// never concurrently for one image, and then Pushed once.
type Observer interface {
	Pushing(image int, now push.Progress)
	Pushed(image int, pushed Pushed)
}

// Pusher pushes one image and reports its progress.
type Pusher interface {
	Push(ctx context.Context, name string, progress func(push.Progress)) (push.Result, error)
}

// Push has the pusher push the images, and returns their outcomes in the same order. When ctx ends, it cancels the running
// pushes, except one that a pod also waits for. registryHost is the registry's host in image references.
func Push(ctx context.Context, by Pusher, registryHost string, images []string, observer Observer) []Pushed {
	outcomes := make([]Pushed, len(images))
	var group errgroup.Group
	group.SetLimit(maxConcurrentPushes)
	for i, image := range images {
		group.Go(func() error {
			outcomes[i] = pushOne(ctx, by, registryHost, image, func(now push.Progress) { observer.Pushing(i, now) })
			observer.Pushed(i, outcomes[i])
			return nil
		})
	}
	_ = group.Wait() // each outcome has its own error
	return outcomes
}

func pushOne(ctx context.Context, by Pusher, registryHost, image string, progress func(push.Progress)) Pushed {
	start := time.Now()
	result, err := by.Push(ctx, image, progress)
	pushed := Pushed{Image: image, Result: result, Duration: time.Since(start), Err: err}
	if err == nil {
		pushed.Rewritten, pushed.Err = pinned(image, registryHost, result)
		return pushed
	}
	if refusal, refused := errors.AsType[*rewrite.Refusal](err); refused {
		pushed.Err = step.Remedy(refusal, advice(refusal.Reason))
	} else if ctx.Err() != nil {
		pushed.Err = ErrCancelled
	} else {
		pushed.Err = step.Remedy(err, "see docker logs "+config.PusherContainer+", and setup status")
	}
	return pushed
}

// pinned returns the reference by which pods run the pushed image.
func pinned(image, registryHost string, result push.Result) (string, error) {
	name, err := rewrite.Parse(image)
	if err != nil {
		return "", err
	}
	target, err := name.Target(registryHost)
	return target + "@" + result.Digest.String(), err
}

// advice returns what the user can do about an image that cannot be pushed. docs/reasons.md tells more.
func advice(reason rewrite.Reason) string {
	switch reason {
	case rewrite.NotOnHost:
		return "build it first, or compare name and tag with docker image ls"
	case rewrite.DigestNotHeld:
		return "use its tag, without a digest"
	case rewrite.WrongPlatform:
		return "build it with docker build --platform linux/" + runtime.GOARCH
	case rewrite.Unservable:
		return "rebuild it"
	case rewrite.NoSpace:
		return "free disk space: docker system df shows what uses it, docs/operations.md how to empty the registry"
	case rewrite.Unmappable, rewrite.InvalidReference:
		return "give it another name with docker tag, and use that one"
	case rewrite.ExcludedByRule:
		return "change the rules with setup up --rules FILE"
	default:
		return "see docs/reasons.md"
	}
}
