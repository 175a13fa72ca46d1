package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// method is a way from the daemon to a node.
type method struct {
	Name string
	// tag is that of its images in the daemon.
	tag string
	// repositories is what the registry's repositories of the method begin with; "" where it uses no registry.
	repositories string
	// upload brings the images to where nodes can fetch them, and returns by which references; nil where there is no such
	// place.
	upload func(ctx context.Context, images []string) ([]string, error)
	// fetch brings the images, by those references, to a node.
	fetch func(ctx context.Context, references []string, node string) error
	// onDemand says that pods bring their images by themselves, under the names that they have in the daemon.
	onDemand bool
}

const (
	kindLoad   = "kind load"
	dockerPush = "docker push + pull"
	ours       = "kind-local-registry"
	floor      = "floor"

	ourTag = "local"
)

// methods returns the ways that are compared.
func (b *bench) methods() []method {
	return []method{
		{Name: kindLoad, tag: "load", fetch: b.kindLoad},
		{Name: dockerPush, tag: "push", repositories: "pushed", upload: b.dockerPush, fetch: b.pull},
		{Name: ours, tag: ourTag, repositories: "bench", upload: b.setupPush, fetch: b.pull, onDemand: true},
	}
}

// kindLoad copies the images to the node as they are in the daemon.
func (b *bench) kindLoad(ctx context.Context, images []string, node string) error {
	args := append([]string{"load", "docker-image", "--name", cluster, "--nodes", node}, images...)
	_, err := b.command(ctx, "", "kind", args...)
	return err
}

// dockerPush tags the images for the registry, and pushes one after the other.
func (b *bench) dockerPush(ctx context.Context, images []string) (references []string, err error) {
	for _, image := range images {
		reference := registryHost + "/pushed/" + strings.TrimPrefix(image, "bench/")
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

// setupPush is what kind-local-registry has for use after docker build.
func (b *bench) setupPush(ctx context.Context, images []string) (references []string, err error) {
	out, err := b.command(ctx, "", b.setup, append([]string{"push", "-o", "json"}, images...)...)
	if err != nil {
		return nil, err
	}
	var pushed []struct{ Rewritten string }
	if err := json.Unmarshal([]byte(out), &pushed); err != nil {
		return nil, fmt.Errorf("reading what setup push says: %w", err)
	}
	for _, p := range pushed {
		references = append(references, p.Rewritten)
	}
	return references, nil
}

// pull has the node pull the images, one after the other, by the same call by which the kubelet does
// (https://github.com/kubernetes/cri-api, ImageService).
func (b *bench) pull(ctx context.Context, references []string, node string) (err error) {
	pid, err := b.command(ctx, "", "docker", "inspect", "--format", "{{.State.Pid}}", node)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient("unix:///proc/"+pid+"/root/run/containerd/containerd.sock",
		grpc.WithTransportCredentials(insecure.NewCredentials()))
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
