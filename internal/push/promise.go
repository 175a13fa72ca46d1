package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/promise"
)

// Promise makes our registry serve the image at the target before the registry has its layers. It returns promised, completed
// with the repository, the image manifest and the config. sizes contains the sizes of the blobs in bytes; it is not needed if the
// image has its own manifest. Promising an image again has no effect.
func (r *Registry) Promise(
	ctx context.Context, target Target, contents Contents, sizes map[digest.Digest]int64, promised promise.Promise,
) (promise.Promise, error) {
	for _, d := range contents.blobs() {
		if _, known := sizes[d]; contents.Manifest == nil && !known {
			return promised, fmt.Errorf("promising %s: the size of blob %s is unknown", target.Repository, d)
		}
	}
	manifest, _, err := contents.manifest(sizes)
	if err != nil {
		return promised, err
	}
	config, err := contents.readConfig(ctx)
	if err != nil {
		return promised, err
	}
	promised.Repository, promised.Manifest, promised.Config = target.Repository, manifest, config
	if err := promised.Validate(); err != nil {
		return promised, fmt.Errorf("promising %s: %w", target.Repository, err)
	}
	body, err := json.Marshal(promised)
	if err != nil {
		return promised, err
	}
	if err := r.promises(ctx, http.MethodPost, nil, bytes.NewReader(body), nil); err != nil {
		return promised, fmt.Errorf("promising %s: %w", target.Repository, err)
	}
	return promised, nil
}

// Withdraw ends a promise. It succeeds if there is none.
func (r *Registry) Withdraw(ctx context.Context, repository string, d digest.Digest) error {
	query := url.Values{"repository": {repository}, "digest": {d.String()}}
	if err := r.promises(ctx, http.MethodDelete, query, nil, nil); err != nil {
		return fmt.Errorf("withdrawing the promise of %s@%s: %w", repository, d, err)
	}
	return nil
}

// Promises returns the promises whose images have not arrived in the registry.
func (r *Registry) Promises(ctx context.Context) (all []promise.Promise, err error) {
	if err := r.promises(ctx, http.MethodGet, nil, nil, &all); err != nil {
		return nil, fmt.Errorf("listing the promises: %w", err)
	}
	return all, nil
}

// promises sends a request to the registry's API for promises, and decodes the response into result unless that is nil.
func (r *Registry) promises(ctx context.Context, method string, query url.Values, body io.Reader, result any) error {
	at := r.base.JoinPath(promise.Path)
	at.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return err
	}
	response, err := r.send(request, http.StatusOK)
	if err != nil {
		return err
	}
	if result != nil {
		err = json.NewDecoder(response.Body).Decode(result)
	}
	return errors.Join(err, response.Body.Close())
}

// readConfig returns the image's config from the first source that has it.
func (c Contents) readConfig(ctx context.Context) (config []byte, err error) {
	for _, source := range c.Sources {
		err = source.Blobs(ctx, []digest.Digest{c.Config}, func(_ digest.Digest, _ int64, blob io.Reader) error {
			config, err = io.ReadAll(io.LimitReader(blob, maxDocument))
			return err
		})
		if err == nil && digest.FromBytes(config) == c.Config {
			return config, nil
		}
	}
	return nil, fmt.Errorf("reading config %s: %w", c.Config, errors.Join(err, errors.New("no source has it")))
}
