package pusher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/promise"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rules"
)

// linker is a linker that can link every image unless state or err says otherwise. It records the layers that it is given.
type linker struct {
	state linkapi.State
	err   error

	mu              sync.Mutex
	checked, broken [][]digest.Digest
}

// Check implements pusher.Linker.
func (l *linker) Check(_ context.Context, diffIDs []digest.Digest) (linkapi.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checked = append(l.checked, diffIDs)
	return l.state, l.err
}

// Prelink implements pusher.Linker.
func (l *linker) Prelink(context.Context, []digest.Digest) error { return nil }

// Nodes implements pusher.Linker.
func (l *linker) Nodes(context.Context) ([]linkapi.Node, error) { return nil, nil }

// Present implements pusher.Linker. The only node has all layers but the top one.
func (l *linker) Present(_ context.Context, diffIDs []digest.Digest) ([]linkapi.NodeLayers, error) {
	if l.err != nil {
		return nil, l.err
	}
	node := linkapi.Node{Name: "kind-worker", Cluster: "kind", State: l.state}
	return []linkapi.NodeLayers{{Node: node, Layers: len(diffIDs), Present: len(diffIDs) - 1}}, nil
}

// Break implements pusher.Linker.
func (l *linker) Break(_ context.Context, diffIDs []digest.Digest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = append(l.broken, diffIDs)
	return l.err
}

// promising is an env whose daemon uses the driver overlay2, and whose service promises images.
type promising struct {
	env

	root   string // Docker's data directory
	client *push.Registry
}

// newPromising starts an env with the linker and rules.
func newPromising(t *testing.T, by pusher.Linker, inForce rules.Rules) promising {
	t.Helper()
	e := promising{env: newEnvWith(t, inForce), root: t.TempDir()}
	e.engine.UseOverlay2(e.root)
	var err error
	if e.client, err = push.NewRegistry(e.registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.client.Close)
	e.service.ShortenPauses()
	e.service.UseLinker(by)
	e.service.AwaitPromises()
	return e
}

// build stores a new image with that label in the daemon and tags it a/b:1.
func (e promising) build(t *testing.T, label string) dockertest.Image {
	t.Helper()
	image := dockertest.NewImage(label, dockertest.Layer("base"), dockertest.Layer(label))
	dockertest.StoreImage(t, e.root, image)
	e.engine.Tag("docker.io/a/b:1", image)
	return image
}

// mustPromise promises a/b:1.
func (e promising) mustPromise(t *testing.T) digest.Digest {
	t.Helper()
	d, err := e.service.Promise(t.Context(), "a/b:1")
	if err != nil {
		t.Fatalf("Promise: %v", err)
	}
	return d
}

// occupy starts as many pushes as the service runs concurrently. Until letGo is called, they do not end, and no promised image is
// pushed. Each call in a test needs a different seed.
func (e promising) occupy(t *testing.T, seed byte) (letGo func()) {
	t.Helper()
	var pushing errgroup.Group
	var releases []func()
	for i := range byte(2) {
		layer, begun, release := blocked(t, 2*seed+i)
		releases = append(releases, release)
		name := fmt.Sprintf("docker.io/occupying/%d:%d", seed, i)
		e.engine.Tag(name, dockertest.NewImage(name, layer))
		pushing.Go(func() error {
			_, err := e.service.Push(t.Context(), name, nil)
			return err
		})
		<-begun
	}
	return func() {
		for _, release := range releases {
			release()
		}
		if err := pushing.Wait(); err != nil {
			t.Errorf("a push that occupied the service: %v", err)
		}
	}
}

// diffIDs returns the digests of the image's layers.
func diffIDs(image dockertest.Image) []digest.Digest {
	var found []digest.Digest
	for _, layer := range image.Layers {
		found = append(found, layer.Digest)
	}
	return found
}

// wantRegistry fails the test unless the registry serves the complete image d under the reference of a/b, or nothing if d is "".
func (e promising) wantRegistry(t *testing.T, when, reference string, d digest.Digest) {
	t.Helper()
	got, err := e.client.Presence(t.Context(), push.Target{Repository: "a/b", Reference: reference})
	if err != nil || got.Digest != d || got.Complete != (d != "") {
		t.Errorf("%s: a/b:%s in the registry is %+v (error %v), want %q, complete", when, reference, got, err, d)
	}
}

// wantPromised fails the test unless the registry has promises with these digests.
func (e promising) wantPromised(t *testing.T, when string, want ...digest.Digest) {
	t.Helper()
	all, err := e.client.Promises(t.Context())
	if err != nil {
		t.Fatalf("Promises: %v", err)
	}
	var got []digest.Digest
	for _, one := range all {
		got = append(got, one.Digest())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: promises (-want +got):\n%s", when, diff)
	}
}

// wantBroken fails the test unless the service, and a client of its server, report that the promise was broken for these reasons.
func (e promising) wantBroken(t *testing.T, d digest.Digest, reasons ...string) {
	t.Helper()
	var want []pusher.BrokenPromise
	for _, reason := range reasons {
		want = append(want, pusher.BrokenPromise{Image: "a/b:1", Digest: d, Reason: reason})
	}
	for how, asked := range map[string]interface {
		BrokenPromises(ctx context.Context) ([]pusher.BrokenPromise, error)
	}{"in the process": e.service, "over the network": e.env.client(t, e.credentials)} {
		got, err := asked.BrokenPromises(t.Context())
		if err != nil {
			t.Errorf("BrokenPromises %s: %v", how, err)
		}
		for i := range got {
			if got[i].Detail == "" || got[i].At.IsZero() {
				t.Errorf("broken promise %s = %+v, want a detail and a time", how, got[i])
			}
			got[i].Detail, got[i].At = "", time.Time{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("broken promises %s (-want +got):\n%s", how, diff)
		}
	}
}

// wantMetrics fails the test unless the metrics have these lines, without their common prefix.
func (e promising) wantMetrics(t *testing.T, want ...string) {
	t.Helper()
	page := e.metrics(t)
	for _, line := range want {
		if !strings.Contains(page, "\nkind_local_registry_"+line+"\n") {
			t.Errorf("metrics want %s:\n%s", line, page)
		}
	}
}

// wantLogged fails the test unless that many lines of the log have the message.
func (e promising) wantLogged(t *testing.T, want int, message string) {
	t.Helper()
	if got := strings.Count(e.log.String(), fmt.Sprintf(`"msg":%q`, message)); got != want {
		t.Errorf("%q logged %d times, want %d:\n%s", message, got, want, e.log)
	}
}

// promiseWithoutPush promises a/b:1 through a service that it closes immediately, as if the service's process were killed.
func promiseWithoutPush(t *testing.T, e promising) (digest.Digest, error) {
	t.Helper()
	service := e.newService(t, rules.Rules{}) // with the default pauses, so it does not push yet
	service.UseLinker(&linker{})
	defer service.Close()
	return service.Promise(t.Context(), "a/b:1")
}

// promiseAs makes a promise again under another name.
func (e promising) promiseAs(t *testing.T, made promise.Promise, name string) {
	t.Helper()
	made.Name = name
	body, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.registry+promise.Path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s", promise.Path, response.Status)
	}
}
