package link

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path"
	"sync"
	"time"

	introspectionapi "github.com/containerd/containerd/api/services/introspection/v1"
	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
)

// maxLocations is how many layers a store remembers.
const maxLocations = 4096

// store is a containerd in which the Docker daemon keeps its layers. It is safe for concurrent use.
type store struct {
	*containerd

	socket    string // on the host
	directory string // of all snapshots, on the host

	mu        sync.Mutex
	locations map[string]location // by name
}

// location is where a committed snapshot is.
type location struct {
	directory string    // on the host
	created   time.Time // when the snapshot was created; a snapshot that replaces it has another time
}

// openStore connects to the containerd that listens at a socket. root is the root directory of a process that sees the socket at that path.
func openStore(ctx context.Context, root, socket, namespace string) (*store, error) {
	connected, err := connect("passthrough:///containerd", namespace, grpc.WithContextDialer(
		func(ctx context.Context, _ string) (net.Conn, error) { return dialBelow(ctx, root, socket) }))
	if err != nil {
		return nil, err
	}
	opened := &store{containerd: connected, socket: socket, locations: map[string]location{}}
	if opened.directory, err = opened.snapshotsDirectory(ctx); err != nil {
		opened.close()
		return nil, fmt.Errorf("connecting to containerd at %s: %w", socket, err)
	}
	return opened, nil
}

// dialBelow connects to a socket whose path is relative to root. It follows absolute symbolic links, such as /var/run, below root.
func dialBelow(ctx context.Context, root, socket string) (net.Conn, error) {
	found, err := securejoin.SecureJoin(root, socket)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "unix", found)
}

// snapshotsDirectory returns the directory of all snapshots, on the host.
func (s *store) snapshotsDirectory(ctx context.Context) (string, error) {
	found, err := introspectionapi.NewIntrospectionClient(s.connection).Plugins(s.in(ctx), &introspectionapi.PluginsRequest{
		Filters: []string{"type==io.containerd.snapshotter.v1,id==" + snapshotter},
	})
	if err != nil {
		return "", err
	}
	for _, plugin := range found.GetPlugins() {
		if root := plugin.GetExports()["root"]; root != "" {
			return path.Join(root, "snapshots"), nil
		}
	}
	return "", fmt.Errorf("it has no snapshotter %s", snapshotter)
}

// answers reports whether containerd still answers, and keeps its snapshots in the same directory.
func (s *store) answers(ctx context.Context) bool {
	directory, err := s.snapshotsDirectory(ctx)
	return err == nil && directory == s.directory
}

// layerDirectory returns the directory with the files of a layer. The error wraps fs.ErrNotExist if there is no such layer. As long as
// layerDirectory returns the same directory, the directory is complete: containerd removes a snapshot's record before the directory,
// and never uses a directory for another snapshot.
func (s *store) layerDirectory(ctx context.Context, chain digest.Digest) (string, error) {
	info, err := s.committed(ctx, chain.String())
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	known, found := s.locations[chain.String()]
	s.mu.Unlock()
	if found && known.created.Equal(info.GetCreatedAt().AsTime()) {
		return known.directory, nil
	}
	learned, err := s.learn(ctx, chain.String())
	if err != nil {
		return "", fmt.Errorf("finding layer %s: %w", chain, err)
	}
	return learned.directory, nil
}

// learn finds out where a snapshot and all snapshots below it are, and returns the location of the first. None of them can be
// removed while there is a view of the first.
func (s *store) learn(ctx context.Context, name string) (location, error) {
	directories, release, err := s.view(ctx, name)
	if err != nil {
		return location{}, err
	}
	defer release()
	found := map[string]location{}
	for below, i := name, 0; below != "" && i < len(directories); i++ {
		info, err := s.committed(ctx, below)
		if err != nil {
			return location{}, err
		}
		found[below] = location{directories[i], info.GetCreatedAt().AsTime()}
		below = info.GetParent()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.locations) >= maxLocations {
		clear(s.locations)
	}
	maps.Copy(s.locations, found)
	return found[name], nil
}
