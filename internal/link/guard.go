package link

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"golang.org/x/sys/unix"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/link/linkapi"
)

// nodeSnapshots is the directory of the snapshots on a node.
const nodeSnapshots = "/var/lib/containerd/io.containerd.snapshotter.v1." + snapshotter + "/snapshots"

// Check returns why an image with those layers cannot be linked, or the zero State if it can. The daemon must have every layer,
// and must run a kind node that can be given layers.
func (l *Linker) Check(ctx context.Context, diffIDs []digest.Digest) linkapi.State {
	if state := l.daemonState(ctx); state.Unlinkable != "" {
		return state
	}
	chains := identity.ChainIDs(slices.Clone(diffIDs)) // ChainIDs overwrites its argument
	if len(l.broken.among(chains)) > 0 {
		return linkapi.State{Unlinkable: linkapi.Broken, Detail: errBroken.Error()}
	}
	l.daemon.learn(ctx, chains)
	for _, chain := range chains {
		if _, err := l.daemon.layer(ctx, chain); err != nil {
			return linkapi.State{Unlinkable: linkapi.LayerMissing, Detail: err.Error()}
		}
	}
	nodes, err := l.Nodes(ctx)
	if err != nil {
		return linkapi.State{Unlinkable: linkapi.NodeUnreachable, Detail: err.Error()}
	}
	last := linkapi.State{Unlinkable: linkapi.NoNode, Detail: "the Docker daemon runs no kind node"}
	for _, n := range nodes {
		if n.Unlinkable == "" {
			return linkapi.State{}
		}
		last = n.State
	}
	return last
}

// Nodes returns the daemon's kind nodes, with the reasons why some cannot be given layers.
func (l *Linker) Nodes(ctx context.Context) ([]linkapi.Node, error) {
	all, err := l.nodes.list(ctx)
	if err != nil {
		return nil, err
	}
	daemon := l.daemonState(ctx)
	found := make([]linkapi.Node, 0, len(all))
	for _, n := range all {
		found = append(found, l.describe(ctx, n, daemon))
	}
	return found, nil
}

// Present returns how many of the layers with those diffIDs each of the daemon's kind nodes has.
func (l *Linker) Present(ctx context.Context, diffIDs []digest.Digest) ([]linkapi.NodeLayers, error) {
	all, err := l.nodes.list(ctx)
	if err != nil {
		return nil, err
	}
	chains := identity.ChainIDs(slices.Clone(diffIDs)) // ChainIDs overwrites its argument
	image := l.daemonState(ctx)
	if image.Unlinkable == "" && len(l.broken.among(chains)) > 0 {
		image = linkapi.State{Unlinkable: linkapi.Broken, Detail: errBroken.Error()}
	}
	found := make([]linkapi.NodeLayers, 0, len(all))
	for _, n := range all {
		has := linkapi.NodeLayers{Node: l.describe(ctx, n, image), Layers: len(chains)}
		if has.Present, err = n.present(ctx, chains); err != nil {
			has.State = linkapi.State{Unlinkable: linkapi.NodeUnreachable, Detail: err.Error()}
		}
		found = append(found, has)
	}
	return found, nil
}

// describe returns the node, with the reason why it cannot be given layers. general is a reason that holds for every node.
func (l *Linker) describe(ctx context.Context, n *node, general linkapi.State) linkapi.Node {
	state := general
	if state.Unlinkable == "" {
		state = l.nodeState(ctx, n)
	}
	return linkapi.Node{Name: n.Name, Cluster: n.Cluster, State: state}
}

// daemonState returns why no layer of the daemon can be linked.
func (l *Linker) daemonState(ctx context.Context) linkapi.State {
	if err := l.daemon.shared(ctx); err != nil {
		return unlinkable(err)
	}
	return linkapi.State{}
}

// unlinkable returns the state for an error of the daemon.
func unlinkable(err error) linkapi.State {
	switch {
	case errors.Is(err, docker.ErrRemappedUsers):
		return linkapi.State{Unlinkable: linkapi.RemappedUsers, Detail: err.Error()}
	case errors.Is(err, docker.ErrOverlayFeature):
		return linkapi.State{Unlinkable: linkapi.OverlayFeature, Detail: err.Error()}
	case errors.Is(err, docker.ErrSeparateDirectories):
		return linkapi.State{Unlinkable: linkapi.OtherFileSystem, Detail: err.Error()}
	case errors.Is(err, errNoStore):
		return linkapi.State{Unlinkable: linkapi.StoreUnreachable, Detail: err.Error()}
	}
	return linkapi.State{Unlinkable: linkapi.StorageDriver, Detail: err.Error()}
}

// nodeState returns why the node cannot be given layers. The state is remembered for as long as the list of nodes.
func (l *Linker) nodeState(ctx context.Context, n *node) linkapi.State {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state != nil {
		return *n.state
	}
	state := l.examine(ctx, n)
	if ctx.Err() == nil { // else the caller has left, which says nothing about the node
		n.state = &state
	}
	return state
}

// examine links a test file to the node.
func (l *Linker) examine(ctx context.Context, n *node) linkapi.State {
	uses, err := n.containerd.usesOverlay(ctx)
	if err != nil {
		return linkapi.State{Unlinkable: linkapi.NodeUnreachable, Detail: err.Error()}
	}
	if !uses {
		return linkapi.State{
			Unlinkable: linkapi.OtherSnapshotter, Detail: "containerd on the node has no images in the snapshotter " + snapshotter,
		}
	}
	root, err := l.daemon.directory(ctx)
	if err != nil {
		return unlinkable(err)
	}
	target, err := n.hostPath(nodeSnapshots)
	if err == nil {
		err = l.tester.testLink(root, target)
	}
	switch {
	case err == nil:
		return linkapi.State{}
	case errors.Is(err, unix.EXDEV), errors.Is(err, errNotOnVolume), errors.Is(err, fs.ErrNotExist):
		return linkapi.State{Unlinkable: linkapi.OtherFileSystem, Detail: err.Error()}
	}
	return linkapi.State{Unlinkable: linkapi.LinkRefused, Detail: err.Error()}
}
