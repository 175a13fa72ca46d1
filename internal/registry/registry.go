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

// Config is the registry's data directory, the addresses that may write to it, and its names.
type Config struct {
	// Root is the directory of the data. It must exist. In the container it is /var/lib/registry.
	Root string
	// WriteFrom are the addresses that may write in addition to the host (loopback, the default gateways, Unix sockets).
	WriteFrom []netip.Prefix
	// Hosts are the names that clients may send in the Host header, without ports, in addition to IP addresses, localhost and
	// kind-registry.
	Hosts []string
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

// New returns the registry's API (https://github.com/opencontainers/distribution-spec), GET /healthz, which answers 200 if
// the storage can be written and read, and GET /metrics. Its background work ends with ctx. Only the host may write.
// Deletion is off: it frees no space without garbage collection, which distribution runs only while the registry is stopped.
func New(ctx context.Context, config Config) (handler http.Handler, err error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the registry: %w", err)
	}
	// distribution panics on a bad configuration.
	defer func() {
		if cause := recover(); cause != nil {
			handler, err = nil, fmt.Errorf("configuring the registry: %v", cause)
		}
	}()
	if err := purgeUploads(ctx, config.Root); err != nil {
		logrus.WithError(err).Warn("interrupted uploads stay for a day")
	}
	mux := http.NewServeMux()
	verifier := newVerifier(config.Root)
	go verifier.scrub(ctx)
	api, metrics := countUploads(handlers.NewApp(ctx, distribution(verifier)), verifier.damaged, verifier.pending)
	mux.Handle("/", mountFromAnywhere(dropInterrupted(api, config.Root), verifier))
	mux.Handle("GET /healthz", healthz(config.Root))
	mux.Handle("GET /metrics", metrics)
	return newGuard(mux, config), nil
}

// distribution returns distribution's configuration. maintenance.uploadpurging removes uploads that were interrupted between
// two requests, such as PATCH and PUT of docker push, by the time they began: the slowest upload takes less than a day.
// distribution warns if it has no secret.
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
