package service

import (
	"context"
	"fmt"
	"time"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/pusher"
)

// certsDir is the directory in the pusher's container where the volume with the pusher's certificates is mounted.
const certsDir = "/etc/" + config.PusherContainer

// renewBefore is the remaining lifetime below which the pusher's certificates are renewed.
const renewBefore = 90 * 24 * time.Hour

// Credentials returns the certificates and keys for the pusher and its clients. The error is step.ErrMissing if the pusher does
// not exist.
func (p *Pusher) Credentials(ctx context.Context) (pusher.Credentials, error) {
	return p.readCredentials(ctx, config.PusherContainer)
}

func (p *Pusher) readCredentials(ctx context.Context, container string) (pusher.Credentials, error) {
	files, err := p.engine.ReadFiles(ctx, container, certsDir)
	if err != nil {
		return pusher.Credentials{}, err
	}
	if files == nil {
		return pusher.Credentials{}, fmt.Errorf("%s %w", config.PusherContainer, step.ErrMissing)
	}
	return pusher.Credentials{
		CA:         files[pusher.CAFile],
		ServerCert: files[pusher.ServerCertFile], ServerKey: files[pusher.ServerKeyFile],
		ClientCert: files[pusher.ClientCertFile], ClientKey: files[pusher.ClientKeyFile],
	}, nil
}

// checkCertificates returns an error if the certificates must be renewed. They must be valid now and for at least renewBefore.
func checkCertificates(credentials pusher.Credentials) error {
	now := time.Now()
	return credentials.Check(now, now.Add(renewBefore))
}

// ensureCredentials renews the certificates in the container's volume if any are missing, invalid or about to expire.
func (p *Pusher) ensureCredentials(ctx context.Context, container string) error {
	if kept, err := p.readCredentials(ctx, container); err == nil && checkCertificates(kept) == nil {
		return nil
	}
	created, err := pusher.NewCredentials(time.Now())
	if err != nil {
		return fmt.Errorf("creating the pusher's certificates: %w", err)
	}
	if err := p.engine.WriteFiles(ctx, container, certsDir, created.Files()); err != nil {
		return fmt.Errorf("writing the pusher's certificates: %w", err)
	}
	return nil
}
