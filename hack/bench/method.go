package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// method is a way to deliver images from the daemon to a node.
type method struct {
	Name string
	// flag is the method's name in -methods.
	flag string
	// tag is the tag of the method's images in the daemon.
	tag string
	// repositories is the prefix of the method's repositories in the registry, or "" if the method uses no registry.
	repositories string
	// upload uploads the images to the registry, or has them promised, and returns their references there. It is nil if the
	// method uses no registry.
	upload func(ctx context.Context, images []string) ([]string, error)
	// fetch delivers the images with these references to a node.
	fetch func(ctx context.Context, references []string, node string) error
	// onDemand reports whether creating a pod causes the delivery. The pod then names the image by its reference in the daemon.
	onDemand bool
	// link is the value of setup up's --link that the method needs; "" if any will do.
	link string
}

// The names of the methods in results.json.
const (
	kindLoad   = "kind load"
	dockerPush = "docker push + pull"
	pulled     = "kind-local-registry" // with --link=off; results from before linking existed use the same name
	linked     = "kind-local-registry, linked"
	floor      = "floor"
	present    = "image on the node"

	pulledTag = "local"
)

// methods returns all methods.
func (b *bench) methods() []method {
	return []method{
		{Name: kindLoad, flag: "kind-load", tag: "load", fetch: b.kindLoad},
		{Name: dockerPush, flag: "docker-push", tag: "push", repositories: "pushed", upload: b.dockerPush, fetch: b.pull, link: linkOff},
		{Name: pulled, flag: "unlinked", tag: pulledTag, repositories: "bench", upload: b.setupPush, fetch: b.pull, onDemand: true, link: linkOff},
		{Name: linked, flag: "linked", tag: "linked", repositories: "bench", upload: b.promise, fetch: b.pull, onDemand: true, link: linkAuto},
	}
}

// chosenMethods returns the methods to compare.
func (b *bench) chosenMethods() []method {
	return slices.DeleteFunc(b.methods(), func(m method) bool { return !b.chooses(m.flag) })
}

// chooses reports whether -methods contains the name.
func (o options) chooses(name string) bool {
	return slices.Contains(strings.Split(o.methods, ","), name)
}

// methodFlags returns all names that -methods may contain.
func methodFlags() (names []string) {
	for _, m := range (&bench{}).methods() {
		names = append(names, m.flag)
	}
	return append(names, floor)
}

// checkMethods returns an error unless -methods contains only known names, and at least one method.
func (o options) checkMethods() error {
	known := methodFlags()
	for name := range strings.SplitSeq(o.methods, ",") {
		if !slices.Contains(known, name) {
			return fmt.Errorf("parsing -methods: no method %q; the methods are %s", name, strings.Join(known, ", "))
		}
	}
	if o.methods == floor {
		return errors.New("parsing -methods: the floor can only be measured together with a method")
	}
	return nil
}

// kindLoad copies the images from the daemon to the node.
func (b *bench) kindLoad(ctx context.Context, images []string, node string) error {
	args := append([]string{"load", "docker-image", "--name", cluster, "--nodes", node}, images...)
	_, err := b.command(ctx, "", "kind", args...)
	return err
}

// dockerPush tags the images for the registry and pushes them one by one.
func (b *bench) dockerPush(ctx context.Context, images []string) (references []string, err error) {
	for _, image := range images {
		reference := registryHost() + "/pushed/" + strings.TrimPrefix(image, "bench/")
		if _, err := b.command(ctx, "", "docker", "tag", image, reference); err != nil {
			return nil, err
		}
		if _, err := b.command(ctx, "", "docker", "push", "-q", reference); err != nil {
			return nil, err
		}
		references = append(references, reference)
	}
	return references, nil
}

// setupPush pushes the images with setup push.
func (b *bench) setupPush(ctx context.Context, images []string) (references []string, err error) {
	out, err := b.command(ctx, "", b.setup, append([]string{"push", "-o", "json"}, images...)...)
	if err != nil {
		return nil, err
	}
	var pushed []struct{ Rewritten string }
	if err := json.Unmarshal([]byte(out), &pushed); err != nil {
		return nil, fmt.Errorf("parsing the output of setup push: %w", err)
	}
	for _, p := range pushed {
		references = append(references, p.Rewritten)
	}
	return references, nil
}

// pull makes the node pull the images one by one. It sends the same requests as the kubelet
// (https://github.com/kubernetes/cri-api, ImageService).
func (b *bench) pull(ctx context.Context, references []string, node string) (err error) {
	connection, err := grpc.NewClient(b.containerd[node], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	for _, reference := range references {
		request := &cri.PullImageRequest{Image: &cri.ImageSpec{Image: reference}}
		if _, err := cri.NewImageServiceClient(connection).PullImage(ctx, request); err != nil {
			return fmt.Errorf("pulling %s on %s: %w", reference, node, err)
		}
	}
	return nil
}
