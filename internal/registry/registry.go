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
	"github.com/sirupsen/logrus"
)

// Config says where the registry keeps its data, and who may write to it.
type Config struct {
	// Root is the directory that holds the data. It must exist. In the container it is /var/lib/registry.
	Root string
	// WriteFrom are the addresses that may write, besides those of the host: loopback, the default gateways, Unix sockets.
	WriteFrom []netip.Prefix
	// Hosts are the names, without ports, by which clients may call the registry, besides addresses, localhost and
	// kind-registry.
	Hosts []string
}

// Validate reports every fault of the configuration.
func (c Config) Validate() error {
	if c.Root == "" {
		return errors.New("no root directory given")
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

// New returns the registry's API (https://github.com/opencontainers/distribution-spec), GET /healthz, which answers 200 when
// the storage can be written and read, and GET /metrics. When ctx ends, its background work does. Only the host may write;
// nobody may delete: without garbage collection, which distribution does only while it is stopped, that frees no space.
func New(ctx context.Context, config Config) (handler http.Handler, err error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the registry: %w", err)
	}
	// distribution reports a bad configuration by a panic.
	defer func() {
		if fault := recover(); fault != nil {
			handler, err = nil, fmt.Errorf("configuring the registry: %v", fault)
		}
	}()
	if err := purge(ctx, config.Root); err != nil {
		logrus.WithError(err).Warn("broken uploads are kept for a day")
	}
	mux := http.NewServeMux()
	verifier := newVerifier(config.Root)
	go verifier.scrub(ctx)
	api, metrics := countUploads(handlers.NewApp(ctx, distribution(verifier)), verifier.damaged, verifier.pending)
	mux.Handle("/", mountFromAnywhere(dropBroken(api, config.Root), verifier))
	mux.Handle("GET /healthz", healthz(config.Root))
	mux.Handle("GET /metrics", metrics)
	return newGuard(mux, config), nil
}

// distribution returns the configuration that distribution wants. Uploads that break off between two requests, such as PATCH
// and PUT of docker push, are left to maintenance.uploadpurging, which goes by when they began: a day is more than the slowest
// upload takes. Without a secret it would warn.
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
