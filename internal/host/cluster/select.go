package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// nameVariable is the environment variable that names the cluster if no flag does, as for kind's own commands
// (sigs.k8s.io/kind/pkg/internal/cli).
const nameVariable = "KIND_CLUSTER_NAME"

// errAmbiguous means that several clusters exist and that the user named none of them.
var errAmbiguous = errors.New("no cluster is named")

// Selection describes how to select a cluster if the user names none.
type Selection struct {
	// PreferUser selects the only cluster that uses the registry, if several clusters exist.
	PreferUser bool
	// Ask asks the user to choose one of several clusters and returns its name. nil means that the user cannot be asked.
	Ask func(ctx context.Context, names []string) (string, error)
}

// nameOf returns the cluster's name in kind's order of precedence: the flag, KIND_CLUSTER_NAME, the kind configuration. It
// returns "" if none of them names a cluster.
func nameOf(flag, configured string) string {
	for _, name := range []string{flag, os.Getenv(nameVariable)} {
		if name != "" {
			return name
		}
	}
	return configured
}

// Select selects one of the existing clusters if the user has named none. If there is no cluster, the name stays the default.
// registryHost returns the registry's host in image references; it is called only if several clusters exist.
func (c *Cluster) Select(ctx context.Context, how Selection, registryHost func(context.Context) (string, error)) error {
	if c.named {
		return nil
	}
	all, err := Names(ctx, c.engine)
	if err != nil {
		return err
	}
	name, asked, err := how.from(ctx, all, func() ([]string, error) {
		host, err := registryHost(ctx)
		if err != nil {
			return nil, err
		}
		return c.users(ctx, host)
	})
	if err != nil {
		return err
	}
	c.options.Name, c.named = name, asked
	return nil
}

// from selects one of all clusters. users returns those that use the registry. asked reports whether the user chose the cluster.
func (s Selection) from(ctx context.Context, all []string, users func() ([]string, error)) (name string, asked bool, err error) {
	switch len(all) {
	case 0:
		return config.Cluster, false, nil
	case 1:
		return all[0], false, nil
	}
	if s.PreferUser {
		found, err := users()
		if err != nil {
			return "", false, err
		}
		switch len(found) {
		case 0: // every cluster is as likely
		case 1:
			return found[0], false, nil
		default:
			all = found
		}
	}
	if s.Ask == nil {
		err := fmt.Errorf("%w, and there are %s: %s", errAmbiguous, step.Count(len(all), "kind cluster"), strings.Join(all, ", "))
		return "", false, step.Remedy(err, "name one with --cluster, for example --cluster "+all[0])
	}
	name, err = s.Ask(ctx, all)
	return name, true, err
}
