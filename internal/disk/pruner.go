package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
	"kind-local-registry/internal/push"
)

// settle is how long an image counts as used after it was looked up. The webhook reuses an answer for a second, and the API server
// may then take a moment to store the pod.
const settle = 5 * time.Second

// Registry lists, removes and verifies images. If the registry is not ours, the error wraps push.ErrNoInventory.
type Registry interface {
	Inventory(ctx context.Context) (inventory.Inventory, error)
	Remove(ctx context.Context, removal inventory.Removal) (inventory.Removed, error)
	Verify(ctx context.Context, check inventory.Check, progress func(inventory.Progress)) (inventory.Checked, error)
}

// Host knows the host's images, and pushes them.
type Host interface {
	// Tagged returns the images that have tags.
	Tagged(ctx context.Context) ([]HostImage, error)
	// OldestPush returns when the oldest push that is running began, or the zero time if none is running.
	OldestPush() time.Time
	// Restore pushes an image that the registry has lost, if the host still has it. It returns the digest of the image manifest.
	Restore(ctx context.Context, lost inventory.Fault) (digest.Digest, error)
}

// Clusters are the kind clusters on this host.
type Clusters interface {
	// Clusters returns the clusters, and the images that their objects use.
	Clusters(ctx context.Context) ([]Cluster, []Use, error)
	// Images returns the images on a node.
	Images(ctx context.Context, cluster, node string) ([]NodeImage, error)
	// RemoveImages removes images from a node, and returns those that were removed.
	RemoveImages(ctx context.Context, node string, images []NodeImage) ([]NodeImage, error)
}

// Pruner reports about images, and removes those that are not used. It is safe for concurrent use.
type Pruner struct {
	registryHost string
	registry     Registry
	host         Host
	clusters     Clusters
	limit        int64
	settle       time.Duration
	log          *slog.Logger

	pruning sync.Mutex // only one removal runs at a time
}

// New returns a pruner. registryHost is the registry's host in image references. limit is how many bytes Keep keeps in the
// registry; 0 for no limit.
func New(registryHost string, registry Registry, host Host, clusters Clusters, limit int64, log *slog.Logger) *Pruner {
	return &Pruner{registryHost: registryHost, registry: registry, host: host, clusters: clusters, limit: limit, settle: settle, log: log}
}

// Step is what is being done.
type Step struct {
	// Text describes the step.
	Text string `json:"text"`
	// Bytes is how much of the Total has been done. Total is 0 if that is unknown.
	Bytes int64 `json:"bytes,omitempty"`
	Total int64 `json:"total,omitempty"`
}

// Progress is notified of each step. It must not block.
type Progress func(Step)

// begin reports a step whose progress is unknown.
func (p Progress) begin(format string, args ...any) { p(Step{Text: fmt.Sprintf(format, args...)}) }

// snapshot is a report, and what a removal needs to know in addition.
type snapshot struct {
	Report

	blobs blobs
	// unusedSince is the time after which nothing must have been used that is removed.
	unusedSince time.Time
}

// Report lists the images on the host, in the registry and on the nodes.
func (p *Pruner) Report(ctx context.Context, progress Progress) (Report, error) {
	taken, err := p.snapshot(ctx, progress)
	return taken.Report, err
}

// snapshot finds out everything about images. First come the registry's images, because an image that is used from then on is not
// removed.
func (p *Pruner) snapshot(ctx context.Context, progress Progress) (snapshot, error) {
	progress.begin("listing the registry's images")
	all := found{registryHost: p.registryHost}
	taken := snapshot{}
	stored, err := p.registry.Inventory(ctx)
	switch {
	case err == nil:
		all.registry, taken.blobs = &stored, blobs{stored.Blobs, stored.Relied}
		taken.unusedSince = p.unusedSince(stored.Time)
	case !errors.Is(err, push.ErrNoInventory):
		return taken, err
	}
	progress.begin("listing the host's images")
	if all.host, err = p.host.Tagged(ctx); err != nil {
		return taken, err
	}
	progress.begin("asking the kind clusters which images their pods use")
	clusters, uses, err := p.clusters.Clusters(ctx)
	if err != nil {
		return taken, err
	}
	all.uses = uses
	for i := range clusters {
		all.nodes = append(all.nodes, p.nodeImages(ctx, &clusters[i], progress)...)
	}
	if ctx.Err() != nil {
		return taken, ctx.Err()
	}
	taken.Report = all.report(clusters)
	if taken.Registry != nil {
		taken.Registry.Limit = p.limit
	}
	return taken, nil
}

// nodeImages returns the images on the cluster's nodes. If a node does not answer, it adds a fault to the cluster, because the other
// nodes and the registry can be pruned nevertheless.
func (p *Pruner) nodeImages(ctx context.Context, cluster *Cluster, progress Progress) (images []NodeImage) {
	for _, node := range cluster.Nodes {
		progress.begin("listing the images on node %s", node)
		listed, err := p.clusters.Images(ctx, cluster.Name, node)
		if err != nil {
			cluster.Faults = append(cluster.Faults, err.Error())
		}
		images = append(images, listed...)
	}
	return images
}

// unusedSince returns the time after which nothing must have been used that is removed, if the images were listed at that time.
// What the running pushes have found in the registry stays there.
func (p *Pruner) unusedSince(listed time.Time) time.Time {
	since := listed.Add(-p.settle)
	if oldest := p.host.OldestPush(); !oldest.IsZero() && oldest.Before(since) {
		since = oldest
	}
	return since
}

// Pruned is the outcome of Prune.
type Pruned struct {
	// Plan is what was planned.
	Plan Plan `json:"plan"`
	// Removed is the outcome in the registry. It is nil after a dry run, or if nothing was removed from the registry.
	Removed *inventory.Removed `json:"removed,omitempty"`
	// NodeImages are the images that were removed from nodes, and NodeBytes is their total size.
	NodeImages []NodeImage `json:"nodeImages"`
	NodeBytes  int64       `json:"nodeBytes"`
}

// Prune removes unused images from the registry and from the nodes. It never removes what a push or a pull is using.
func (p *Pruner) Prune(ctx context.Context, o Options, progress Progress) (Pruned, error) {
	p.pruning.Lock()
	defer p.pruning.Unlock()
	taken, err := p.snapshot(ctx, progress)
	if err != nil {
		return Pruned{}, err
	}
	pruned := Pruned{Plan: taken.plan(taken.blobs, o), NodeImages: []NodeImage{}}
	if o.DryRun {
		return pruned, nil
	}
	if pruned.Plan.Blocked == "" && pruned.Plan.RegistryBytes+int64(len(pruned.Plan.Registry)) > 0 {
		progress.begin("removing %d images from the registry", len(pruned.Plan.Registry))
		if pruned.Removed, err = p.removeFromRegistry(ctx, pruned.Plan, taken.unusedSince); err != nil {
			return pruned, err
		}
	}
	err = p.removeFromNodes(ctx, &pruned, progress)
	return pruned, err
}

// removeFromRegistry removes the images from the registry.
func (p *Pruner) removeFromRegistry(ctx context.Context, plan Plan, since time.Time) (*inventory.Removed, error) {
	removal := inventory.Removal{UnusedSince: since}
	for _, image := range plan.Registry {
		removal.Images = append(removal.Images, image.reference())
	}
	removed, err := p.registry.Remove(ctx, removal)
	if err != nil {
		return nil, err
	}
	if len(removed.Images)+removed.Blobs > 0 {
		p.log.LogAttrs(ctx, slog.LevelInfo, "unused images removed from the registry", slog.Int("images", len(removed.Images)),
			slog.Int64("bytes", removed.Bytes))
	}
	return &removed, nil
}

// removeFromNodes removes images from the nodes, except those that the registry has kept because they were being used.
func (p *Pruner) removeFromNodes(ctx context.Context, pruned *Pruned, progress Progress) error {
	kept := map[string]bool{}
	if pruned.Removed != nil {
		for _, image := range pruned.Removed.Kept {
			kept[image.Digest.String()] = true
		}
	}
	images := map[string][]NodeImage{}
	for _, image := range pruned.Plan.Nodes {
		if !image.has(kept) {
			images[image.Node] = append(images[image.Node], image)
		}
	}
	var faults []error
	for _, node := range slices.Sorted(maps.Keys(images)) {
		progress.begin("removing %d images from node %s", len(images[node]), node)
		removed, err := p.clusters.RemoveImages(ctx, node, images[node])
		faults = append(faults, err)
		for _, image := range removed {
			pruned.NodeImages = append(pruned.NodeImages, image)
			pruned.NodeBytes += image.Bytes
		}
		p.log.LogAttrs(ctx, slog.LevelInfo, "unused images removed from a node", slog.String("node", node), slog.Int("images", len(removed)))
	}
	return errors.Join(faults...)
}

// has reports whether one of the image's names has one of the digests.
func (i NodeImage) has(digests map[string]bool) bool {
	return slices.ContainsFunc(i.References, func(name string) bool {
		_, d, _ := strings.Cut(name, "@")
		return digests[d]
	})
}
