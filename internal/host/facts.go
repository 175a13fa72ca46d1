package host

import (
	"context"
	"strings"
	"time"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/report"
)

// factsTimeout limits how long the cluster may take to answer for the facts.
const factsTimeout = 5 * time.Second

// Clusters returns the sorted names of the kind clusters in Docker.
func (s *System) Clusters(ctx context.Context) ([]string, error) { return cluster.Names(ctx, s.engine) }

// Facts describes the system for the documents that setup prints. It omits what cannot be read.
func (s *System) Facts(ctx context.Context) report.Facts {
	facts := report.Facts{
		Setup:   config.Version,
		Docker:  report.Docker{Version: s.engine.Version, Driver: s.engine.Driver, Socket: s.engine.Socket},
		Cluster: s.clusterFacts(ctx),
		Registry: report.Registry{
			Container: s.containerFacts(ctx, config.RegistryContainer),
			Host:      s.registry.Host(), Port: s.registry.Port(), URL: s.registry.URL(),
		},
		Pusher: s.containerFacts(ctx, config.PusherContainer),
		Linker: s.containerFacts(ctx, config.LinkerContainer),
	}
	if facts.Cluster.State == "running" {
		facts.Webhook = s.webhookFacts(ctx)
	}
	return facts
}

func (s *System) clusterFacts(ctx context.Context) report.Cluster {
	facts := report.Cluster{Name: s.Cluster(), State: "absent", Context: s.cluster.Context(), Nodes: []report.Node{}}
	condition, err := s.cluster.Condition(ctx)
	if err != nil || !condition.Exists {
		return facts
	}
	switch {
	case condition.Answers:
		facts.State = "running"
	case len(condition.Stopped) > 0:
		facts.State = "stopped"
	default:
		facts.State = "silent"
	}
	facts.Origin, facts.Kubernetes = origin(condition.Created), condition.Version
	for _, node := range condition.Nodes {
		facts.Nodes = append(facts.Nodes, report.Node(node))
	}
	return facts
}

// origin returns the word for who created a cluster or a container.
func origin(created bool) string {
	if created {
		return "created"
	}
	return "adopted"
}

func (s *System) containerFacts(ctx context.Context, name string) report.Container {
	facts := report.Container{Container: name, State: "absent"}
	found, err := s.engine.Find(ctx, name)
	if err != nil || found == nil {
		return facts
	}
	facts.State, facts.Origin, facts.Image = string(found.State.Status), origin(found.Ours()), found.Image
	if endpoint := found.Endpoint(s.engine.Network.Name); endpoint != nil {
		facts.Address = engine.Address(endpoint)
	}
	return facts
}

func (s *System) webhookFacts(ctx context.Context) report.Webhook {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	webhook := s.chart.Webhook(ctx)
	_, digest, _ := strings.Cut(webhook.Image, "@")
	return report.Webhook{
		Image: webhook.Image, Digest: digest, Available: webhook.Available, RestartOnRebuild: webhook.RestartsOnRebuild,
	}
}
