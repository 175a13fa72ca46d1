package main

import (
	"context"
	"errors"
	"os"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/kindcli"
	"kind-local-registry/internal/push"
)

// pushArchivesForKind pushes the images of archives that kind should load.
func pushArchivesForKind(ctx context.Context, wanted kindcli.Images) ([]string, error) {
	system, err := host.Open(ctx, host.Options{Cluster: wanted.Cluster})
	if err != nil {
		return loadAll(wanted, err), nil
	}
	return pushArchivesInstead(ctx, system, wanted)
}

// kindArchiveHost is what pushArchivesInstead needs of the host. *host.System implements it; tests replace it.
type kindArchiveHost interface {
	NodeNames() ([]string, error)
	CheckDelivery(ctx context.Context) error
	PushArchive(ctx context.Context, from images.Archive, progress func(push.Progress)) ([]images.Pushed, error)
}

// pushArchivesInstead pushes archives instead of loading them. It returns those that kind has to load. Its errors are those of kind load
// image-archive.
func pushArchivesInstead(ctx context.Context, on kindArchiveHost, wanted kindcli.Images) ([]string, error) {
	for _, file := range wanted.Names {
		if _, err := os.Stat(file); err != nil {
			return nil, err
		}
	}
	if err := checkNodes(on, wanted); err != nil {
		return nil, err
	}
	if err := on.CheckDelivery(ctx); err != nil {
		return loadAll(wanted, err), nil
	}
	var left []string
	for _, file := range wanted.Names {
		if err := pushArchiveInstead(ctx, on, wanted, file); err != nil {
			wanted.Log.Warnf("setup kind: %s is loaded, not pushed: %v", file, err)
			left = append(left, file)
		}
	}
	return left, nil
}

// pushArchiveInstead pushes the images of one archive, and prints a line for each. It returns an error unless all of them are pushed.
func pushArchiveInstead(ctx context.Context, on kindArchiveHost, wanted kindcli.Images, file string) error {
	from, closeFile, err := openArchive(file)
	if err != nil {
		return err
	}
	defer func() { _ = closeFile() }() // it was only read
	pushed, err := on.PushArchive(ctx, from, func(push.Progress) {})
	if err != nil {
		return err
	}
	var faults []error
	for _, one := range pushed {
		if one.Err == nil {
			wanted.Log.V(0).Infof("Image: %q of %s is present in the registry.", one.Image, file)
		}
		faults = append(faults, one.Err)
	}
	return errors.Join(faults...)
}
