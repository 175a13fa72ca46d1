package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/link/linkapi"
)

const (
	// nodesTTL is how long the list of nodes is cached.
	nodesTTL = 10 * time.Second
	// nodeSocket is the path of containerd's socket on a kind node.
	nodeSocket = "/run/containerd/containerd.sock"
)

// node is a running kind node and its containerd.
type node struct {
	docker.Node

	containerd *containerd

	mu    sync.Mutex
	state *linkapi.State // nil if it is unknown
}

// errNotOnVolume is the error for a directory that only the node can reach.
var errNotOnVolume = errors.New("not on a volume of the node")

// present returns how many of the layers the node has, counted from the lowest.
func (n *node) present(ctx context.Context, chains []digest.Digest) (int, error) {
	for i, chain := range slices.Backward(chains) { // usually the node has all layers or few
		has, err := n.containerd.has(ctx, chain.String())
		if err != nil {
			return 0, err
		}
		if has {
			return i + 1, nil
		}
	}
	return 0, nil
}

// prepared is a snapshot that can be filled with a layer.
type prepared struct {
	directory string   // the path of its directory
	lowers    []string // the paths of the lower layers' directories, uppermost first
}

// prepare creates a snapshot on top of parent, which is "" for the lowest layer. The paths in the result are paths on the host.
func (n *node) prepare(ctx context.Context, key string, parent digest.Digest) (prepared, error) {
	created, err := n.containerd.prepare(ctx, key, parent.String())
	if err != nil {
		return prepared{}, err
	}
	var onHost prepared
	if onHost.directory, err = n.hostPath(created.directory); err != nil {
		return prepared{}, err
	}
	for _, lower := range created.lowers {
		path, err := n.hostPath(lower)
		if err != nil {
			return prepared{}, err
		}
		onHost.lowers = append(onHost.lowers, path)
	}
	return onHost, nil
}

// hostPath returns the path on the host of a directory on the node.
func (n *node) hostPath(directory string) (string, error) {
	path, found := n.HostPath(directory)
	if !found {
		return "", fmt.Errorf("directory %s: %w", directory, errNotOnVolume)
	}
	return path, nil
}

// nodes is the list of running kind nodes. It is safe for concurrent use.
type nodes struct {
	docker *docker.Client
	proc   string // where the proc file system is mounted

	mu      sync.Mutex
	known   []*node
	fetched time.Time
}

func newNodes(daemon *docker.Client) *nodes { return &nodes{docker: daemon, proc: "/proc"} }

// close closes the connections.
func (n *nodes) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, known := range n.known {
		known.containerd.close()
	}
	n.known = nil
}

// forget makes the next call list the nodes again.
func (n *nodes) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fetched = time.Time{}
}

// at returns the node with that address. The error wraps ErrNoNode if there is none.
func (n *nodes) at(ctx context.Context, address string) (*node, error) {
	isHere := func(known *node) bool { return slices.Contains(known.Addresses, address) }
	for range 2 { // the node may have been added since the list was cached
		all, err := n.list(ctx)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(all, isHere); i >= 0 {
			return all[i], nil
		}
		n.forget()
	}
	return nil, fmt.Errorf("%w: %s", ErrNoNode, address)
}

// list returns the nodes. It keeps the connections to nodes that have not restarted.
func (n *nodes) list(ctx context.Context) ([]*node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.fetched) < nodesTTL {
		return n.known, nil
	}
	found, err := n.docker.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	before := n.known
	n.known = nil
	for _, running := range found {
		i := slices.IndexFunc(before, func(known *node) bool { return known.Name == running.Name && known.PID == running.PID })
		if i >= 0 {
			n.known = append(n.known, &node{Node: running, containerd: before[i].containerd})
			before = slices.Delete(before, i, i+1)
			continue
		}
		// containerd's socket is on a tmpfs that is mounted only in the node's own mount namespace.
		connected, err := connect(fmt.Sprintf("unix://%s/%d/root%s", n.proc, running.PID, nodeSocket), kubernetesNamespace)
		if err != nil {
			return nil, err
		}
		n.known = append(n.known, &node{Node: running, containerd: connected})
	}
	for _, gone := range before {
		gone.containerd.close()
	}
	n.fetched = time.Now()
	return n.known, nil
}

// with returns the layer from a node other than target, if there is one that has it.
func (n *nodes) with(ctx context.Context, chain digest.Digest, target *node) (source, bool) {
	all, err := n.list(ctx)
	if err != nil {
		return source{}, false
	}
	for _, other := range all {
		if other.Name == target.Name {
			continue
		}
		if found, err := other.source(ctx, chain); err == nil {
			return found, true
		}
	}
	return source{}, false
}

// source returns the node's snapshot of a layer. The node keeps the snapshot until the source is released.
func (n *node) source(ctx context.Context, chain digest.Digest) (source, error) {
	has, err := n.containerd.has(ctx, chain.String())
	if err != nil || !has {
		return source{}, errors.Join(err, errors.New("the node does not have the layer"))
	}
	directories, release, err := n.containerd.view(ctx, chain.String())
	if err != nil {
		return source{}, err
	}
	path, err := n.hostPath(directories[0])
	if err != nil {
		release()
		return source{}, err
	}
	return source{directory: path, release: release, stillThere: func(context.Context) error { return nil }}, nil
}
