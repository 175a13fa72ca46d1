package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker"
)

// storeTTL is how long the daemon's containerd is cached.
const storeTTL = 10 * time.Second

// errNoStore is the error for a daemon's containerd that does not answer.
var errNoStore = errors.New("the Docker daemon's containerd does not answer")

// daemon finds the layers of the Docker daemon: as files of the overlay2 driver, or as snapshots in the daemon's containerd. It is
// safe for concurrent use.
type daemon struct {
	docker *docker.Client
	proc   string // where the proc file system is mounted

	mu      sync.Mutex
	known   *store
	fetched time.Time
}

// close closes the connection to the daemon's containerd.
func (d *daemon) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known != nil {
		d.known.close()
	}
	d.known = nil
}

// forget makes the next call check that the daemon's containerd still answers.
func (d *daemon) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fetched = time.Time{}
}

// shared returns nil if layers can be linked from the daemon. The error wraps errNoStore, or is that of docker.Client.Shared.
func (d *daemon) shared(ctx context.Context) error {
	if err := d.docker.Shared(ctx); err != nil {
		return err
	}
	_, err := d.store(ctx)
	return err
}

// layer returns the daemon's directory of a layer. The error wraps fs.ErrNotExist if the daemon does not have the layer.
func (d *daemon) layer(ctx context.Context, chain digest.Digest) (source, error) {
	from, err := d.store(ctx)
	if err != nil {
		return source{}, err
	}
	find := d.docker.LayerDirectory
	if from != nil {
		find = from.layerDirectory
	}
	directory, err := find(ctx, chain)
	if err != nil {
		return source{}, err
	}
	return source{directory: directory, byDocker: from == nil, release: func() {}, stillThere: func(ctx context.Context) error {
		again, err := find(ctx, chain)
		if err == nil && again != directory {
			err = fmt.Errorf("layer %s: %w", chain, fs.ErrNotExist)
		}
		return err
	}}, nil
}

// directory returns the directory that contains the directories of all layers.
func (d *daemon) directory(ctx context.Context) (string, error) {
	from, err := d.store(ctx)
	if err != nil {
		return "", err
	}
	if from == nil {
		return d.docker.LayersDirectory(ctx)
	}
	return from.directory, nil
}

// learn finds the directories of an image's layers, given their chainIDs, lowest first. Without it, layer also finds them, but the
// daemon's containerd is then asked for each of them.
func (d *daemon) learn(ctx context.Context, chains []digest.Digest) {
	if from, err := d.store(ctx); err != nil || from == nil {
		return
	}
	for _, chain := range slices.Backward(chains) { // the highest layer that the daemon has reveals all layers below it
		if _, err := d.layer(ctx, chain); !errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
}

// store returns the daemon's containerd, or nil if the daemon keeps its layers without containerd.
func (d *daemon) store(ctx context.Context) (*store, error) {
	found, used, err := d.docker.Store(ctx)
	if err != nil || !used {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	isKnown := d.known != nil && d.known.namespace == found.Namespace && slices.Contains(found.Sockets, d.known.socket)
	if isKnown && time.Since(d.fetched) < storeTTL {
		return d.known, nil
	}
	if isKnown && d.known.answers(ctx) {
		d.fetched = time.Now()
		return d.known, nil
	}
	if d.known != nil {
		d.known.close()
		d.known = nil
	}
	if d.known, err = d.open(ctx, found); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoStore, err)
	}
	d.fetched = time.Now()
	return d.known, nil
}

// open connects to the first containerd that answers.
func (d *daemon) open(ctx context.Context, found docker.Store) (*store, error) {
	process, err := listenerProcess(ctx, d.docker.Address())
	if err != nil {
		return nil, err
	}
	root := fmt.Sprintf("%s/%d/root", d.proc, process)
	var faults []error
	for _, socket := range found.Sockets {
		opened, err := openStore(ctx, root, socket, found.Namespace)
		if err == nil {
			return opened, nil
		}
		faults = append(faults, err)
	}
	return nil, errors.Join(faults...)
}
