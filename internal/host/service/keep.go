package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/step"
)

// foreign lists what adopt would do to a registry that another tool created.
func (r *Registry) foreign(ctx context.Context) ([]step.Change, error) {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil || found == nil || found.Ours() {
		return nil, err
	}
	change := step.Change{Kind: step.Container, Name: config.RegistryContainer, Detail: notOurs}
	var all []step.Change
	if !found.Running() {
		command := "docker stop "
		if found.Paused() {
			command = "docker pause "
		}
		change.Action, change.Back = step.Start, command+config.RegistryContainer+"; setup down keeps it running"
		all = append(all, change)
	}
	if found.Endpoint(r.engine.Network.Name) == nil {
		change.Action, change.Back = step.Connect, "setup down disconnects it, unless other kind clusters exist"
		change.Detail = fmt.Sprintf("to network %s; %s", r.engine.Network.Name, notOurs)
		all = append(all, change)
	}
	return all, nil
}

// KeepStep returns the step that keeps the registry and its images. It disconnects a registry that another tool created, if setup
// connected it to the kind network.
func (r *Registry) KeepStep() step.Step {
	return step.Step{Name: "registry", Undo: r.disconnect, Plan: r.planKeep}
}

func (r *Registry) planKeep(ctx context.Context) ([]step.Change, error) {
	p := &plan{engine: r.engine}
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil {
		return nil, err
	}
	if found != nil && !found.Ours() {
		return r.planAdopted(ctx, found)
	}
	p.container(ctx, config.RegistryContainer, "setup down --registry deletes it")
	p.volume(ctx, step.Change{Name: config.RegistryContainer, Bytes: r.engine.VolumeSize(ctx, config.RegistryContainer)}, "the registry's images")
	return p.changes, p.err
}

// planAdopted lists what happens to a registry that another tool created.
func (r *Registry) planAdopted(ctx context.Context, found *engine.Found) ([]step.Change, error) {
	change := step.Change{Action: step.Keep, Kind: step.Container, Name: config.RegistryContainer, Detail: "setup only adopted it"}
	if !found.Connected(r.engine.Network.Name) {
		return []step.Change{change}, nil
	}
	users, err := r.users(ctx)
	if err != nil {
		return nil, err
	}
	change.Detail += r.disconnection(users)
	if users == "" {
		change.Action = step.Restore
	}
	return []step.Change{change}, nil
}

// disconnection describes what disconnect does to a registry that setup connected to the kind network.
func (r *Registry) disconnection(users string) string {
	if users != "" {
		return fmt.Sprintf("; it stays on network %s, where kind cluster %s may use it", r.engine.Network.Name, users)
	}
	return fmt.Sprintf("; it is disconnected from network %s, and keeps running", r.engine.Network.Name)
}

// users returns the names of the other kind clusters, which may use the registry even if setup did not configure them.
func (r *Registry) users(ctx context.Context) (string, error) {
	nodes, err := r.engine.Labelled(ctx, config.ClusterLabel)
	if err != nil {
		return "", err
	}
	var clusters []string
	for i := range nodes {
		if cluster := nodes[i].Labels[config.ClusterLabel]; cluster != r.options.Cluster {
			clusters = append(clusters, cluster)
		}
	}
	slices.Sort(clusters)
	return strings.Join(slices.Compact(clusters), ", "), nil
}

// disconnect disconnects an adopted registry from the kind network, unless other kind clusters exist.
func (r *Registry) disconnect(ctx context.Context) (string, error) {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil {
		return "", err
	}
	if found == nil || found.Ours() || !found.Connected(r.engine.Network.Name) {
		return config.RegistryContainer + " and its images kept", nil
	}
	users, err := r.users(ctx)
	if err != nil {
		return "", err
	}
	if users == "" {
		err = r.engine.Network.Disconnect(ctx, config.RegistryContainer)
	}
	return config.RegistryContainer + " kept: setup only adopted it" + r.disconnection(users), err
}
