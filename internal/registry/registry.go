package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	"kind-local-registry/internal/registry/store"
)

// Config contains the registry's data directory, the addresses that may write to the registry, and the registry's names.
type Config struct {
	// Root is the data directory. It must exist. In the container it is /var/lib/registry.
	Root string
	// WriteFrom are the addresses that may write in addition to the host. The host may always write: through the loopback, a
	// default gateway or a Unix socket.
	WriteFrom []netip.Prefix
	// Hosts are additional names that clients may send in the Host header, without ports. IP addresses, localhost,
	// kind-registry and host.docker.internal are always allowed.
	Hosts []string
	// Linker gives nodes the layers of images; nil if nodes pull every layer.
	Linker Linker
}

// Validate returns an error if Root is not a directory.
func (c Config) Validate() error {
	if c.Root == "" {
		return errors.New("root directory: not given")
	}
	info, err := os.Stat(c.Root)
	if err != nil {
		return fmt.Errorf("root directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("root directory %s: not a directory", c.Root)
	}
	return nil
}

// New returns a handler that serves the registry's API (https://github.com/opencontainers/distribution-spec), GET /healthz and
// GET /metrics. /healthz responds with status 200 if the storage can be written and read. Background work ends with ctx. Only
// the host may write. distribution's API for deletion is disabled, because it frees no space. On a Unix socket, the handler also
// serves the API of package inventory, which lists, removes and verifies images.
func New(ctx context.Context, config Config) (handler http.Handler, err error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the registry: %w", err)
	}
	// distribution panics if its configuration is invalid.
	defer func() {
		if cause := recover(); cause != nil {
			handler, err = nil, fmt.Errorf("configuring the registry: %v", cause)
		}
	}()
	if err := purgeUploads(ctx, config.Root); err != nil {
		logrus.WithError(err).Warn("cannot remove interrupted uploads; they are removed after a day")
	}
	mux := http.NewServeMux()
	verifier := newVerifier(config.Root)
	go verifier.scrub(ctx)
	api, metrics := countUploads(handlers.NewApp(ctx, distribution(verifier)), verifier.damaged, verifier.pending)
	promises, err := newPromises(mountFromAnywhere(dropInterrupted(api, config.Root), verifier), config.Root)
	if err != nil {
		return nil, err
	}
	images, err := store.New(config.Root, promises.list, verifier.forget)
	if err != nil {
		return nil, err
	}
	guard := newGuard(mux, config)
	mux.Handle("/", &tracker{
		next: newLinkFirst(promises, config.Linker), store: images, pulls: map[pull]digest.Digest{},
		pushes: func(r *http.Request) bool { return !fromSocket(r) && guard.mayWrite(r) },
	})
	mux.Handle("GET /healthz", healthz(config.Root))
	mux.Handle("GET /metrics", metrics)
	inventoryAPI{images, verifier, promises}.register(mux)
	return guard, nil
}

// distribution returns distribution's configuration. An upload may be interrupted between two requests, for example between the
// PATCH and the PUT of docker push. maintenance.uploadpurging removes uploads that began more than a day ago, because even the
// slowest upload takes less time. A secret is set only because distribution logs a warning without one.
func distribution(verifier *verifier) *configuration.Configuration {
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			driverName: {"verifier": verifier},
			"maintenance": {"uploadpurging": map[any]any{
				"enabled": true, "age": "24h", "interval": "6h", "dryrun": false,
			}},
		},
	}
	config.HTTP.Secret = rand.Text()
	return config
}
