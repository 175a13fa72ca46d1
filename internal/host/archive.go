package host

import (
	"context"
	"fmt"

	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/push"
)

// PushArchive pushes the images of an archive to the registry; see images.ArchivePusher. It returns an error, with a remedy, if pods would
// not run them.
func (s *System) PushArchive(ctx context.Context, from images.Archive, progress func(push.Progress)) ([]images.Pushed, error) {
	if err := s.registry.CheckArchives(ctx); err != nil {
		return nil, err
	}
	client, err := s.ConnectPusher(ctx) // pods run the images only if the pusher can look them up
	if err != nil {
		return nil, fmt.Errorf("nothing can be pushed: %w", err)
	}
	client.Close()
	inForce, err := s.Rules()
	if err != nil {
		return nil, err
	}
	registry, err := push.NewRegistry(s.registry.URL())
	if err != nil {
		return nil, err
	}
	defer registry.Close()
	by := images.ArchivePusher{
		Registry: registry, RegistryHost: s.RegistryHost(), Excluded: inForce.ExcludesImage, HostID: s.engine.ImageID,
	}
	return by.Push(ctx, from, progress)
}
