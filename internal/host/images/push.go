package images

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// maxConcurrentPushes is how many pushes are requested concurrently. The pusher runs fewer of them concurrently, in the order of
// the requests.
const maxConcurrentPushes = 8

// nodesTimeout is how long it may take to find out which nodes have an image.
const nodesTimeout = 3 * time.Second

// ErrCancelled is an image's error if its push was running, or was waiting for other pushes, when the context ended.
var ErrCancelled = errors.New("cancelled")

// Pushed is the outcome of pushing one image.
type Pushed struct {
	// Image is the reference that the user gave.
	Image string
	// Rewritten is the reference in the registry, HOST/NAME:TAG@DIGEST. It is "" if the push failed.
	Rewritten string
	// Result shows how much was copied.
	Result push.Result
	// Duration is the time that the request took, including the wait for other pushes.
	Duration time.Duration
	// Nodes tells how many of the image's layers each node has. It is empty if linking is off, or the pusher cannot tell.
	Nodes []linkapi.NodeLayers
	// Err explains why the image was not pushed and includes a remedy. It is nil if the image is in the registry.
	Err error
}

// Reason returns why the image can never be pushed. It returns "" if the image was pushed or if a retry may succeed.
func (p Pushed) Reason() rewrite.Reason { return rewrite.ReasonOf(p.Err) }

// Observer is notified of the pushes. image is an index into the list of images. For each image, Pushing is called any number of
// times, and then Pushed once. Calls for different images may be concurrent; calls for the same image are not.
type Observer interface {
	Pushing(image int, now push.Progress)
	Pushed(image int, pushed Pushed)
}

// Pusher pushes images.
type Pusher interface {
	// Push pushes one image and reports its progress.
	Push(ctx context.Context, name string, progress func(push.Progress)) (push.Result, error)
	// NodeLayers reports how many of the image's layers each node has.
	NodeLayers(ctx context.Context, name string) ([]linkapi.NodeLayers, error)
}

// Push pushes the images through the pusher and returns their outcomes in the same order. When ctx ends, it cancels the running
// pushes, except those that a pod is also waiting for. registryHost is the registry's host in image references.
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
		pushed.Nodes = nodes(ctx, by, image)
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

// nodes tells how many of the image's layers each node has. On an error, it returns nil, because the image is in the registry and
// every node can pull it.
func nodes(ctx context.Context, by Pusher, image string) []linkapi.NodeLayers {
	ctx, cancel := context.WithTimeout(ctx, nodesTimeout)
	defer cancel()
	found, err := by.NodeLayers(ctx, image)
	if err != nil {
		return nil
	}
	return found
}

// pinned returns the reference with which pods run the pushed image.
func pinned(image, registryHost string, result push.Result) (string, error) {
	name, err := rewrite.Parse(image)
	if err != nil {
		return "", err
	}
	target, err := name.Target(registryHost)
	return target + "@" + result.Digest.String(), err
}

// advice returns what the user can do about an image that cannot be pushed. See docs/reasons.md for details.
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
		return "free disk space: docker system df shows what uses it, and setup prune removes images that nothing uses"
	case rewrite.Unmappable, rewrite.InvalidReference:
		return "give it another name with docker tag, and use that one"
	case rewrite.ExcludedByRule:
		return "change the rules with setup up --rules FILE"
	default:
		return "see docs/reasons.md"
	}
}
