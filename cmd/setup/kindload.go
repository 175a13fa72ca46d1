package main

import (
	"context"
	"fmt"
	"slices"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/kindcli"
	"kind-local-registry/internal/push"
)

// pushForKind pushes images that kind should load.
func pushForKind(ctx context.Context, wanted kindcli.Images) ([]string, error) {
	system, err := host.Open(ctx, host.Options{Cluster: wanted.Cluster})
	if err != nil {
		return loadAll(wanted, err), nil
	}
	return pushInstead(ctx, system, wanted)
}

// loadAll returns all images, and prints why kind loads them.
func loadAll(wanted kindcli.Images, why error) []string {
	wanted.Log.Warnf("setup kind: the images are loaded, not pushed: %v", why)
	return wanted.Names
}

// kindHost is what pushInstead needs of the host. *host.System implements it; tests replace it.
type kindHost interface {
	ImageID(ctx context.Context, reference string) (string, error)
	NodeNames() ([]string, error)
	CheckDelivery(ctx context.Context) error
	Push(ctx context.Context, references []string, observer images.Observer) ([]images.Pushed, error)
}

// pushInstead pushes images instead of loading them. It returns those that kind has to load. Its errors and their order are those
// of kind load docker-image.
func pushInstead(ctx context.Context, on kindHost, wanted kindcli.Images) ([]string, error) {
	ids := make([]string, 0, len(wanted.Names))
	for _, name := range wanted.Names {
		id, err := on.ImageID(ctx, name)
		if err != nil || id == "" {
			return nil, fmt.Errorf("image: %q not present locally", name)
		}
		ids = append(ids, id)
	}
	if err := checkNodes(on, wanted); err != nil {
		return nil, err
	}
	if err := images.Check(wanted.Names); err != nil { // an image ID, which only kind can load
		return loadAll(wanted, err), nil
	}
	if err := on.CheckDelivery(ctx); err != nil {
		return loadAll(wanted, err), nil
	}
	pushed, err := on.Push(ctx, wanted.Names, &loadLines{wanted: wanted, ids: ids, told: make([]bool, len(ids))})
	if err != nil {
		return loadAll(wanted, err), nil
	}
	var left []string
	for _, one := range pushed {
		if one.Err != nil {
			wanted.Log.Warnf("setup kind: %s is loaded, not pushed: %v", one.Image, one.Err)
			left = append(left, one.Image)
		}
	}
	return left, nil
}

// checkNodes returns kind's error if the cluster or one of the nodes does not exist.
func checkNodes(on interface{ NodeNames() ([]string, error) }, wanted kindcli.Images) error {
	names, err := on.NodeNames()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("no nodes found for cluster %q", wanted.Cluster)
	}
	for _, name := range wanted.Nodes {
		if !slices.Contains(names, name) {
			return fmt.Errorf("unknown node: %q", name)
		}
	}
	return nil
}

// loadLines prints a line for each image, like kind load docker-image.
type loadLines struct {
	wanted kindcli.Images
	ids    []string
	told   []bool
}

// Pushing implements images.Observer.
func (l *loadLines) Pushing(image int, now push.Progress) {
	if now.Bytes > 0 {
		l.pushing(image)
	}
}

// Pushed implements images.Observer.
func (l *loadLines) Pushed(image int, pushed images.Pushed) {
	switch {
	case pushed.Err != nil:
	case pushed.Result.Bytes > 0:
		l.pushing(image)
	default:
		l.wanted.Log.V(0).Infof("Image: %q with ID %q found to be already present in the registry.", l.wanted.Names[image], l.ids[image])
	}
}

// pushing prints, once for each image, that the registry lacked a part of it.
func (l *loadLines) pushing(image int) {
	if !l.told[image] {
		l.told[image] = true
		l.wanted.Log.V(0).Infof("Image: %q with ID %q not yet present in the registry, pushing...", l.wanted.Names[image], l.ids[image])
	}
}
