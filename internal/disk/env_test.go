package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/internal/rules"
)

func TestMain(m *testing.M) { registrytest.Main(m) }

// registryHost is the registry's host in image references.
const registryHost = "localhost:5001"

// env contains a fake daemon, a real registry, the pusher's service, a fake cluster, and the pruner that connects them.
type env struct {
	engine   *dockertest.Engine
	root     string // the registry's data directory
	host     string // the registry's host for clients other than the pusher
	registry *push.Registry
	service  *pusher.Service
	cluster  *cluster
	pruner   *disk.Pruner
	// transport is for clients other than the pusher.
	transport *http.Transport
}

// newEnv starts an env whose pruner has the limit. It stops when the test ends.
func newEnv(t *testing.T, limit int64) env {
	t.Helper()
	e := env{engine: dockertest.NewEngine(t), root: t.TempDir(), cluster: newCluster(), transport: &http.Transport{}}
	t.Cleanup(e.transport.CloseIdleConnections)
	url, socket := registrytest.StartWithSocket(t, e.root)
	e.host = strings.TrimPrefix(url, "http://")
	var err error
	if e.registry, err = push.NewRegistry(socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.registry.Close)
	daemon, err := docker.New(e.engine.Host())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Close() })
	log := slog.New(slog.DiscardHandler)
	e.service = pusher.NewService(daemon, e.registry, registryHost, rules.Rules{}, log)
	t.Cleanup(e.service.Close)
	e.pruner = disk.New(registryHost, e.registry, e.service, e.cluster, limit, log)
	e.pruner.Settle(0) // nothing happens between a lookup and the creation of its pod
	return e
}

// cluster is a fake cluster with one node. It is safe for concurrent use.
type cluster struct {
	mu     sync.Mutex
	pods   map[string]string         // images by the pods' names
	images map[string]disk.NodeImage // images on the node, by ID
	busy   map[string]*sync.RWMutex  // read-locked while the pod's image is being pulled
}

func newCluster() *cluster {
	return &cluster{pods: map[string]string{}, images: map[string]disk.NodeImage{}, busy: map[string]*sync.RWMutex{}}
}

// Clusters implements disk.Clusters.
func (c *cluster) Clusters(context.Context) ([]disk.Cluster, []disk.Use, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var uses []disk.Use
	for pod, image := range c.pods {
		uses = append(uses, disk.Use{Cluster: "c", Kind: "Pod", Namespace: "default", Name: pod, Image: image})
	}
	return []disk.Cluster{{Name: "c", Nodes: []string{"n1"}}}, uses, nil
}

// Images implements disk.Clusters.
func (c *cluster) Images(context.Context, string, string) ([]disk.NodeImage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var images []disk.NodeImage
	for _, image := range c.images {
		images = append(images, image)
	}
	return images, nil
}

// RemoveImages implements disk.Clusters.
func (c *cluster) RemoveImages(_ context.Context, _ string, images []disk.NodeImage) ([]disk.NodeImage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, image := range images {
		delete(c.images, image.ID)
	}
	return images, nil
}

// admit creates a pod. decide returns the pod's image; the list of pods waits for it.
func (c *cluster) admit(pod string, decide func() (string, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	image, err := decide()
	if err != nil {
		return err
	}
	c.pods[pod] = image
	if c.busy[pod] == nil {
		c.busy[pod] = &sync.RWMutex{}
	}
	return nil
}

// remove removes a pod, once no node pulls its image any more.
func (c *cluster) remove(pod string) {
	c.mu.Lock()
	busy := c.busy[pod]
	c.mu.Unlock()
	if busy == nil {
		return
	}
	busy.Lock()
	defer busy.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pods, pod)
}

// hold returns the image of a pod, or "" if there is no such pod. The pod is not removed until the caller calls release.
func (c *cluster) hold(pod string) (image string, release func()) {
	c.mu.Lock()
	busy := c.busy[pod]
	c.mu.Unlock()
	if busy == nil {
		return "", func() {}
	}
	busy.RLock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pods[pod], busy.RUnlock
}

// names returns the sorted names of the pods.
func (c *cluster) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for pod := range c.pods {
		names = append(names, pod)
	}
	slices.Sort(names)
	return names
}

// pull pulls an image like a node without any layers, and adds it to the node.
func (e env) pull(ctx context.Context, image string) error {
	pulled, err := e.remote(ctx, image)
	if err == nil {
		err = readLayers(pulled)
	}
	if err != nil {
		return fmt.Errorf("pulling %s: %w", image, err)
	}
	id, err := pulled.ConfigName()
	if err != nil {
		return err
	}
	d, err := pulled.Digest()
	if err != nil {
		return err
	}
	repository, _, _ := strings.Cut(strings.TrimPrefix(image, registryHost+"/"), ":")
	repository, _, _ = strings.Cut(repository, "@")
	e.cluster.mu.Lock()
	defer e.cluster.mu.Unlock()
	e.cluster.images[id.String()] = disk.NodeImage{
		Cluster: "c", Node: "n1", ID: id.String(), Bytes: 1, References: []string{registryHost + "/" + repository + "@" + d.String()},
	}
	return nil
}

// readLayers reads the layers as they are stored. Reading fails if a layer does not match its digest.
func readLayers(image v1.Image) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return nil
}

// remote returns an image in the registry.
func (e env) remote(ctx context.Context, image string) (v1.Image, error) {
	reference, err := name.ParseReference(e.host + "/" + strings.TrimPrefix(image, registryHost+"/"))
	if err != nil {
		return nil, err
	}
	return remote.Image(reference, e.options(ctx)...)
}

// options returns the options for requests of clients other than the pusher.
func (e env) options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithTransport(e.transport)}
}

// size returns the total size in bytes of the files in the registry's data directory. A file that the registry moves in the
// meantime, because it is about to remove it, counts once.
func (e env) size(t *testing.T) (total int64) {
	t.Helper()
	seen := map[uint64]bool{} // inode numbers
	err := filepath.WalkDir(e.root, func(_ string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // it was removed in the meantime
		}
		if err != nil || entry.IsDir() {
			return err
		}
		if info, err := entry.Info(); err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok && !seen[stat.Ino] {
				seen[stat.Ino] = true
				total += info.Size()
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// prune removes unused images.
func (e env) prune(t *testing.T, o disk.Options) disk.Pruned {
	t.Helper()
	pruned, err := e.pruner.Prune(t.Context(), o, func(disk.Step) {})
	if err != nil {
		t.Fatal(err)
	}
	return pruned
}

// build tags a new build of an image on the host. It has a layer of the given size, and shares another with all other builds.
func (e env) build(t *testing.T, reference string, number, bytes int) dockertest.Image {
	t.Helper()
	own := dockertest.Layer(strings.Repeat(fmt.Sprintf("%s build %d;", reference, number), bytes/20))
	image := dockertest.NewImage(fmt.Sprint(reference, number), dockertest.Layer(strings.Repeat("shared ", 2000)), own)
	e.engine.Tag(rewritetest.Name(t, reference).String(), image)
	return image
}
