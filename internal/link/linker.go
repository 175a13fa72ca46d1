package link

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"kind-local-registry/internal/coalesce"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/link/linkapi"
)

// removeTimeout is how long it may take to remove an incomplete snapshot.
const removeTimeout = 10 * time.Second

// Linker gives nodes the layers of images. It is safe for concurrent use.
type Linker struct {
	daemon *daemon
	nodes  *nodes
	broken *broken
	tester tester
	layers coalesce.Group[struct{}, int64] // by node and chainID; the progress is the number of files since the last report
}

// NewLinker returns a linker that gives the client's daemon's layers to that daemon's kind nodes. brokenFile is the path of the file in
// which it remembers layers that are never linked. The file need not exist.
func NewLinker(client *docker.Client, brokenFile string) (*Linker, error) {
	known, err := readBroken(brokenFile)
	if err != nil {
		return nil, err
	}
	return &Linker{
		daemon: &daemon{docker: client, proc: "/proc"}, nodes: newNodes(client), broken: known, tester: newTester(),
	}, nil
}

// Close ends all work and closes the connections to the nodes and to the daemon's containerd.
func (l *Linker) Close() {
	l.layers.Close()
	l.nodes.close()
	l.daemon.close()
}

// ErrNoNode is the error for an address that no running kind node has.
var ErrNoNode = errors.New("no running kind node has this address")

// Link gives the node at an IP address the layers with those diffIDs, lowest first. While there is progress, it calls progress
// with the number of files linked so far. The calls are not concurrent, and must not block. Even on an error, the result tells
// which layers the node has; the node pulls the others. A node never has an incomplete layer. If the node already has the image,
// Link does nothing.
func (l *Linker) Link(
	ctx context.Context, address string, diffIDs []digest.Digest, progress func(files int64),
) (linkapi.Result, error) {
	target, err := l.nodes.at(ctx, address)
	if err != nil {
		return linkapi.Result{Layers: len(diffIDs)}, err
	}
	result, err := l.link(ctx, target, diffIDs, progress)
	if err != nil {
		l.nodes.forget() // the node may have restarted
		l.daemon.forget()
		if left := ctx.Err(); left != nil {
			err = left // gRPC's error does not wrap it
		}
		err = fmt.Errorf("linking layers to node %s: %w", target.Name, err)
	}
	return result, err
}

// Prelink gives the layers to every node that has the lowest of them, because such a node has probably run an earlier build of
// the image. It calls done after each node that lacked layers.
func (l *Linker) Prelink(ctx context.Context, diffIDs []digest.Digest, done func(linkapi.Result, time.Duration, error)) {
	all, err := l.nodes.list(ctx)
	if err != nil || len(diffIDs) == 0 {
		return
	}
	for _, target := range all {
		present, err := target.present(ctx, identity.ChainIDs(slices.Clone(diffIDs)))
		if err != nil || present == 0 || present == len(diffIDs) {
			continue
		}
		start := time.Now()
		result, err := l.link(ctx, target, diffIDs, func(int64) {})
		done(result, time.Since(start), err)
	}
}

// link links the layers above those that the node has.
func (l *Linker) link(
	ctx context.Context, target *node, diffIDs []digest.Digest, progress func(files int64),
) (linkapi.Result, error) {
	chains := identity.ChainIDs(slices.Clone(diffIDs)) // ChainIDs overwrites its argument
	result := linkapi.Result{Node: target.Name, Layers: len(chains)}
	if broken := l.broken.among(chains); len(broken) > 0 {
		_, err := target.unlink(ctx, broken) // the node may have linked them before they were broken, and now pulls them
		return result, errors.Join(errBroken, err)
	}
	var err error
	if result.Present, err = target.present(ctx, chains); err != nil || result.Complete() {
		return result, err
	}
	l.daemon.learn(ctx, chains)
	if ctx, err = target.containerd.lease(ctx); err != nil {
		return result, err
	}
	for i := result.Present; i < len(chains); i++ {
		parent := digest.Digest("")
		if i > 0 {
			parent = chains[i-1]
		}
		_, _, err := l.layers.Do(ctx, target.Name+" "+chains[i].String(),
			func(more int64) { result.Files += more; progress(result.Files) },
			func(ctx context.Context, report func(int64)) (struct{}, error) {
				return struct{}{}, l.layer(ctx, target, chains[i], parent, report)
			})
		if err != nil {
			return result, fmt.Errorf("layer %d of %d (%s): %w", i+1, len(chains), diffIDs[i], err)
		}
		result.Linked++
	}
	return result, nil
}

// layer gives the node one layer. The node must already have its parent.
func (l *Linker) layer(ctx context.Context, target *node, chain, parent digest.Digest, report func(files int64)) error {
	from, err := l.source(ctx, target, chain)
	if err != nil {
		return err
	}
	defer from.release()
	key := "kind-local-registry-" + rand.Text()
	snapshot, err := target.prepare(ctx, key, parent)
	if err == nil && from.byDocker {
		err = checkImplied(from.directory, snapshot.lowers)
	}
	if err == nil {
		err = fill(ctx, from, snapshot.directory, report)
	}
	if err == nil {
		// Syncing waits for the disk, and committing adds up the sizes of the files. Neither reports progress.
		stop := every(linkapi.Heartbeat, func() { report(0) })
		if err = makeDurable(snapshot.directory); err == nil {
			err = target.containerd.commit(ctx, key, chain)
		}
		stop()
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		err = errors.Join(err, target.containerd.remove(ctx, key))
	}
	return err
}

// fill fills the directory of a prepared snapshot with the layer.
func fill(ctx context.Context, from source, directory string, report func(files int64)) error {
	var files atomic.Int64
	var reported int64
	stop := every(linkapi.Heartbeat, func() {
		if now := files.Load(); now > reported {
			report(now - reported)
			reported = now
		}
	})
	err := linkTree(ctx, from.directory, directory, &files)
	stop()
	if err != nil {
		return err
	}
	report(files.Load() - reported)
	return from.stillThere(ctx)
}

// source is a directory on the host that contains a complete layer.
type source struct {
	directory string
	byDocker  bool // Docker has unpacked the layer itself, not containerd
	// stillThere returns an error if the directory may have been removed, partly or completely, since the source was found.
	stillThere func(ctx context.Context) error
	release    func()
}

// source returns the Docker daemon's directory of the layer, or another node's.
func (l *Linker) source(ctx context.Context, target *node, chain digest.Digest) (source, error) {
	from, err := l.daemon.layer(ctx, chain)
	if err == nil {
		return from, nil
	}
	if other, found := l.nodes.with(ctx, chain, target); found {
		return other, nil
	}
	return source{}, fmt.Errorf("neither the Docker daemon nor another node has it: %w", err)
}

// every calls do at intervals until stop is called. stop returns only when do is no longer running.
func every(interval time.Duration, do func()) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
				do()
			}
		}
	}()
	return func() { close(ended); <-done }
}
