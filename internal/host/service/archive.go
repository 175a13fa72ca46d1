package service

import (
	"context"
	"errors"

	"kind-local-registry/internal/host/step"
)

// CheckArchives returns an error, with a remedy, if pods would not run images that are pushed to this registry from archives.
func (r *Registry) CheckArchives(ctx context.Context) error {
	carried, err := r.carried(ctx)
	if err != nil || carried {
		return err
	}
	return step.Remedy(errors.New("the registry is not the one that setup contains, so it cannot record which images came from archives"),
		"use docker load and setup push")
}
