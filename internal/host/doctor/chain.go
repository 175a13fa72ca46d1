package doctor

import (
	"context"

	"kind-local-registry/internal/host/chart"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/host/step"
)

// Parts are the parts of the system that the checks examine.
type Parts struct {
	Engine   *engine.Engine
	Cluster  *cluster.Cluster
	Registry *service.Registry
	Pusher   *service.Pusher
	Linker   *service.Linker
	Chart    *chart.Chart
	Nodes    node.Nodes
}

// Chain returns the checks of the whole chain, in the order of their dependencies.
func Chain(p Parts) []Check {
	h, n := host{p}, nodes{p}
	return append(h.checks(), append(n.checks(), p.webhookChecks()...)...)
}

// WithoutDocker returns the same checks for a host on which Docker cannot be used. fault is the error from opening it.
func WithoutDocker(fault error) []Check {
	checks := Chain(Parts{
		Engine: &engine.Engine{}, Cluster: &cluster.Cluster{}, Registry: &service.Registry{}, Pusher: &service.Pusher{},
		Linker: &service.Linker{}, Chart: &chart.Chart{},
	})
	checks[0].Probe = func(context.Context) (step.State, error) { return step.State{}, fault }
	return checks
}

// The names of the checks.
const (
	nameDocker     = "Docker"
	nameVersions   = "versions"
	nameDisk       = "disk"
	nameImages     = "images"
	nameRegistry   = "registry"
	nameLocalhost  = "localhost"
	namePusher     = "pusher"
	namePusherAPI  = "pusher API"
	nameLinker     = "linker"
	nameLinking    = "linking"
	nameCluster    = "cluster"
	nameProxy      = "host proxy"
	nameClock      = "clock"
	nameHosts      = "hosts.toml"
	nameCertsDir   = "config_path"
	nameNames      = "node names"
	nameNodeProxy  = "node proxy"
	nameKubelet    = "kubelet"
	nameRoutes     = "pod routes"
	namePull       = "node pull"
	nameConfigMap  = "ConfigMap"
	nameImage      = "webhook image"
	nameSecret     = "credentials"
	nameRelease    = "release"
	nameHook       = "webhook configuration"
	nameReplicas   = "webhook replicas"
	nameService    = "webhook Service"
	nameCA         = "CA bundle"
	nameCall       = "webhook call"
	namePusherLink = "pusher Service"
	nameAdmission  = "admission"
	namePod        = "pod"
)

// webhookChecks examine the webhook in the cluster, and run a pod.
func (p Parts) webhookChecks() []Check {
	c := p.Chart
	return []Check{
		{
			Name: nameConfigMap, After: []string{nameCluster}, Probe: p.Cluster.HostingStep(p.Nodes.RegistryHost).Check,
			Why: "Tilt, Skaffold and other tools read it to find the registry (KEP-1755)",
			Fix: p.Cluster.HostingStep(p.Nodes.RegistryHost).Apply, Ours: p.Cluster.OwnsHosting,
		},
		{
			Name: nameImage, After: []string{nameImages, nameRegistry}, Probe: c.ImageStep().Check, Fix: c.ImageStep().Apply,
			Why: "the webhook's pods run this image, so they cannot start on another node",
		},
		{
			Name: nameSecret, After: []string{namePusher, nameCluster}, Probe: c.CredentialsStep().Check, Fix: c.CredentialsStep().Apply,
			Why: "without the pusher's client certificate, the webhook can look up no image",
		},
		{
			Name: nameRelease, After: []string{nameCluster, nameImage, nameSecret, namePusher, namePull}, Probe: c.CheckRelease, Fix: c.Step().Apply,
			Why: "no pod is rewritten while the webhook is not installed",
		},
		{
			Name: nameHook, After: []string{nameRelease}, Probe: c.CheckConfiguration, Fix: c.ReplaceConfiguration,
			Why: "the API server calls the webhook only for what this configuration selects",
		},
		{
			Name: nameReplicas, After: []string{nameHook}, Probe: c.CheckReplicas, Fix: c.Step().Apply,
			Why: "no pod is rewritten while no replica of the webhook is available",
		},
		{
			Name: nameService, After: []string{nameReplicas}, Probe: c.CheckService, Fix: c.ReplaceService,
			Why: "the API server reaches the webhook through this Service; without it, pods are created with their original images",
		},
		{
			Name: nameCA, After: []string{nameService}, Probe: c.CheckCertificate,
			Why: "the API server ignores a webhook whose certificate it does not trust",
		},
		{
			Name: nameCall, After: []string{nameCA, nameRoutes}, Probe: c.CheckCall,
			Why: "calls that fail are ignored: pods are created with their original images",
		},
		{
			Name: namePusherLink, After: []string{nameRelease, namePusher}, Probe: c.CheckPusherService, Fix: c.Reapply,
			Why: "the webhook looks up images through this Service; without it, no pod is rewritten",
		},
		{
			Name: nameAdmission, After: []string{nameCall, namePusherLink, namePusherAPI, nameSecret}, Probe: c.CheckAdmission,
			Why: "pods are created with their original images, which nodes may be unable to pull",
		},
		{
			Name: namePod, After: []string{nameAdmission, namePull}, Probe: c.CheckPod,
			Why: "your pods would fail in the same way",
		},
	}
}

// ours returns a function that reports whether setup created the container. A container that does not exist is ours to create.
func (p Parts) ours(container string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) { return p.Registry.Ours(ctx, container) }
}
