package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"kind-local-registry/internal/inventory"
)

// ErrNoInventory is the error if the registry cannot list or remove images. Only our registry can, on its Unix socket.
var ErrNoInventory = errors.New("the registry can neither list nor remove images, because it is not the one that setup contains")

// Inventory lists what our registry has. The error wraps ErrNoInventory for any other registry.
func (r *Registry) Inventory(ctx context.Context) (listed inventory.Inventory, err error) {
	if err := r.exchange(ctx, http.MethodGet, inventory.Path, nil, &listed); err != nil {
		return listed, fmt.Errorf("listing the registry's images: %w", err)
	}
	return listed, nil
}

// Remove removes images from our registry, and every blob that no image needs.
func (r *Registry) Remove(ctx context.Context, removal inventory.Removal) (removed inventory.Removed, err error) {
	if err := r.exchange(ctx, http.MethodPost, inventory.RemovePath, removal, &removed); err != nil {
		return removed, fmt.Errorf("removing images from the registry: %w", err)
	}
	return removed, nil
}

// Verify makes our registry verify its images. progress is called about twice per second, and must not block.
func (r *Registry) Verify(ctx context.Context, check inventory.Check, progress func(inventory.Progress)) (inventory.Checked, error) {
	checked, err := r.verify(ctx, check, progress)
	if err != nil {
		return checked, fmt.Errorf("verifying the registry's images: %w", err)
	}
	return checked, nil
}

func (r *Registry) verify(ctx context.Context, check inventory.Check, progress func(inventory.Progress)) (inventory.Checked, error) {
	response, err := r.inventory(ctx, http.MethodPost, inventory.VerifyPath, check)
	if err != nil {
		return inventory.Checked{}, err
	}
	defer func() { _ = response.Body.Close() }()
	for lines := json.NewDecoder(response.Body); ; {
		var line inventory.CheckLine
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return inventory.Checked{}, io.ErrUnexpectedEOF
		case err != nil:
			return inventory.Checked{}, err
		case line.Error != "":
			return inventory.Checked{}, errors.New(line.Error)
		case line.Result != nil:
			return *line.Result, nil
		case line.Progress != nil:
			progress(*line.Progress)
		}
	}
}

// exchange sends a request to the registry's inventory API, and decodes the response into result.
func (r *Registry) exchange(ctx context.Context, method, path string, body, result any) error {
	response, err := r.inventory(ctx, method, path, body)
	if err != nil {
		return err
	}
	err = json.NewDecoder(response.Body).Decode(result)
	return errors.Join(err, response.Body.Close())
}

// inventory sends a request to the registry's inventory API. The caller must close the response's body.
func (r *Registry) inventory(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, r.base.JoinPath(path).String(), content)
	if err != nil {
		return nil, err
	}
	response, err := r.send(request, http.StatusOK)
	if refused, ok := errors.AsType[*StatusError](err); ok && (refused.Code == http.StatusNotFound || refused.Code == http.StatusForbidden) {
		return nil, fmt.Errorf("%w: %w", ErrNoInventory, err)
	}
	return response, err
}
