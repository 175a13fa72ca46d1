package chart

import (
	"context"

	"k8s.io/client-go/rest"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/rewrite"
)

// Ungate uninstalls the webhook from a cluster and ungates the pods that are still waiting for an image. registryHost is the
// registry's host in those pods' image references.
type Ungate func(ctx context.Context, access *rest.Config, registryHost string) error

// Chart represents the webhook in a cluster.
type Chart struct {
	cluster  *cluster.Cluster
	docker   string // the daemon's address, as in DOCKER_HOST
	registry *service.Registry
	pusher   *service.Pusher
	options  Options
}

// Options are a Chart's settings.
type Options struct {
	// RestartOnRebuild makes the webhook restart workloads on a rebuild; nil keeps the setting of the installed release.
	RestartOnRebuild *bool
	// Ungate is required only to undo the chart's step.
	Ungate Ungate
}

// New returns the Chart for a cluster, a registry and a pusher. docker is the address of the host's Docker daemon, as in
// DOCKER_HOST.
func New(in *cluster.Cluster, docker string, registry *service.Registry, pusher *service.Pusher, options Options) *Chart {
	return &Chart{cluster: in, docker: docker, registry: registry, pusher: pusher, options: options}
}

// values returns the chart values that depend on the host or that the user chose: the webhook's image, the pusher's address, the
// registry's host, the rules, and whether workloads are restarted on a rebuild.
func (c *Chart) values(ctx context.Context) (map[string]any, error) {
	digest, err := c.imageDigest(ctx)
	if err != nil {
		return nil, err
	}
	address, err := c.pusher.Address(ctx, c.cluster.PrefersIPv6) // of the same family as the cluster's Services
	if err != nil {
		return nil, err
	}
	name, err := rewrite.Parse(service.WebhookImage())
	if err != nil {
		return nil, err
	}
	repository, err := name.Repository(c.registry.Host())
	if err != nil {
		return nil, err
	}
	rules, err := c.pusher.RulesValues()
	if err != nil {
		return nil, err
	}
	restart, err := c.restartOnRebuild()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"image":    map[string]any{"repository": c.registry.Host() + "/" + repository, "tag": name.Tag(), "digest": digest},
		"pusher":   map[string]any{"address": address, "port": config.PusherPort},
		"registry": map[string]any{"host": c.registry.Host()},
		"rules":    rules,
		restartKey: restart,
	}, nil
}

// restartKey is the chart value that makes the webhook restart workloads on a rebuild.
const restartKey = "restartOnRebuild"

// restartOnRebuild returns the setting that the user chose or, if the user chose none, the setting of the installed release.
func (c *Chart) restartOnRebuild() (bool, error) {
	if c.options.RestartOnRebuild != nil {
		return *c.options.RestartOnRebuild, nil
	}
	configuration, err := c.helm()
	if err != nil {
		return false, err
	}
	values, err := lastValues(configuration)
	on, _ := values[restartKey].(bool)
	return on, err
}
