package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/push"
)

// ProbeImage is the image that setup doctor makes, pushes and has every node pull. It contains one small file.
const ProbeImage = config.Name + "/doctor:probe"

// PushProbe makes ProbeImage, pushes it, removes it from Docker again, and returns its reference in the registry. The image is always
// the same, so that the registry does not grow. registryHost is the registry's host in image references.
func PushProbe(ctx context.Context, docker *engine.Engine, by Pusher, registryHost string) (reference string, err error) {
	archive, err := probe()
	if err != nil {
		return "", err
	}
	if err := docker.LoadImages(ctx, archive); err != nil {
		return "", err
	}
	result, err := by.Push(ctx, ProbeImage, func(push.Progress) {})
	if err != nil {
		err = fmt.Errorf("pushing %s: %w", ProbeImage, err)
	}
	if err := errors.Join(err, docker.RemoveImage(context.WithoutCancel(ctx), ProbeImage)); err != nil {
		return "", err
	}
	return pinned(ProbeImage, registryHost, result)
}

// probe returns an archive of ProbeImage, as docker load reads it.
func probe() (io.Reader, error) {
	content := []byte("setup doctor of kind-local-registry pulls this file.\n")
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o644, Size: int64(len(content))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	packed, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, packed)
	if err != nil {
		return nil, err
	}
	settings, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	settings.Architecture, settings.OS = runtime.GOARCH, "linux"
	settings.Config = v1.Config{Labels: map[string]string{config.Label: "doctor"}}
	if image, err = mutate.ConfigFile(image, settings); err != nil {
		return nil, err
	}
	tag, err := name.NewTag(ProbeImage)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	if err := tarball.Write(tag, image, &archive); err != nil {
		return nil, fmt.Errorf("packing %s: %w", ProbeImage, err)
	}
	return &archive, nil
}
