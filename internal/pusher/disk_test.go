package pusher_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/internal/rules"
)

// noClusters is a host without clusters.
type noClusters struct{}

// Clusters implements disk.Clusters.
func (noClusters) Clusters(context.Context) ([]disk.Cluster, []disk.Use, error) {
	return []disk.Cluster{}, nil, nil
}

// Images implements disk.Clusters.
func (noClusters) Images(context.Context, string, string) ([]disk.NodeImage, error) { return nil, nil }

// RemoveImages implements disk.Clusters.
func (noClusters) RemoveImages(context.Context, string, []disk.NodeImage) ([]disk.NodeImage, error) {
	return nil, nil
}

// newDiskEnv starts an env whose server answers requests about disk space, and returns its pruner too.
func newDiskEnv(t *testing.T) (env, *disk.Pruner) {
	t.Helper()
	_, socket := registrytest.StartWithSocket(t, t.TempDir())
	e := env{engine: dockertest.NewEngine(t), registry: socket, log: &buffer{}, credentials: newCredentials(t)}
	e.service = e.newService(t, rules.Rules{})
	registry, err := push.NewRegistry(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	e.pruner = disk.New(registryHost, registry, e.service, noClusters{}, 7, slog.New(slog.DiscardHandler))
	e.address = e.serve(t)
	return e, e.pruner
}

// pushTwoBuilds pushes two builds of an image. The host's tag refers to the second.
func (e env) pushTwoBuilds(t *testing.T) {
	t.Helper()
	for _, build := range []string{"old", "new"} {
		e.engine.Tag("docker.io/a/b:1", dockertest.NewImage(build, dockertest.Layer(build)))
		if _, err := e.service.Push(t.Context(), "a/b:1", nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClient_ReportsImages(t *testing.T) {
	t.Parallel()
	e, pruner := newDiskEnv(t)
	e.pushTwoBuilds(t)
	client := e.client(t, e.credentials)
	progress := func(disk.Step) {}

	want, err := pruner.Report(t.Context(), func(disk.Step) {})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Images(t.Context(), progress)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(disk.Image{}), cmpopts.EquateApproxTime(0)); diff != "" || err != nil {
		t.Errorf("Images = error %v (-pruner +client):\n%s", err, diff)
	}
	if len(got.Images) != 2 || got.Registry.Limit != 7 {
		t.Errorf("Images = %+v, want two images and a limit of 7 bytes", got)
	}
}

func TestClient_PlansAndVerifies(t *testing.T) {
	t.Parallel()
	e, _ := newDiskEnv(t)
	e.pushTwoBuilds(t)
	client, progress := e.client(t, e.credentials), func(disk.Step) {}
	planned, err := client.Prune(t.Context(), disk.Options{DryRun: true}, progress)
	if err != nil || len(planned.Plan.Registry) != 1 || planned.Removed != nil {
		t.Errorf("Prune as a dry run = %+v, %v, want a plan with one image", planned, err)
	}
	verified, err := client.Verify(t.Context(), true, progress)
	if err != nil || verified.Blobs != 6 || len(verified.Faults) > 0 {
		t.Errorf("Verify = %+v, %v, want 6 intact blobs", verified, err)
	}
}

// brokenNode is a cluster without pods, whose node has two builds and removes only one of them.
type brokenNode struct{ builds []string } // digests

// Clusters implements disk.Clusters.
func (brokenNode) Clusters(context.Context) ([]disk.Cluster, []disk.Use, error) {
	return []disk.Cluster{{Name: "c", Nodes: []string{"n1"}}}, nil, nil
}

// Images implements disk.Clusters.
func (b brokenNode) Images(context.Context, string, string) (images []disk.NodeImage, err error) {
	for _, build := range b.builds {
		images = append(images, disk.NodeImage{Cluster: "c", Node: "n1", ID: build, References: []string{registryHost + "/a/gone@" + build}})
	}
	return images, nil
}

// RemoveImages implements disk.Clusters.
func (brokenNode) RemoveImages(_ context.Context, _ string, images []disk.NodeImage) ([]disk.NodeImage, error) {
	return images[:1], errors.New("node n1: exit status 1")
}

func TestClient_ReturnsWhatAFailedRemovalHasRemoved(t *testing.T) {
	t.Parallel()
	e, _ := newDiskEnv(t)
	registry, err := push.NewRegistry(e.registry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	node := brokenNode{builds: []string{"sha256:" + strings.Repeat("1", 64), "sha256:" + strings.Repeat("2", 64)}}
	e.pruner = disk.New(registryHost, registry, e.service, node, 0, slog.New(slog.DiscardHandler))
	e.address = e.serve(t)
	pruned, err := e.client(t, e.credentials).Prune(t.Context(), disk.Options{}, func(disk.Step) {})
	if err == nil || !strings.Contains(err.Error(), "node n1: exit status 1") {
		t.Errorf("Prune = %v, want the node's error", err)
	}
	if len(pruned.Plan.Nodes) != 2 || len(pruned.NodeImages) != 1 || pruned.NodeImages[0].ID != node.builds[0] {
		t.Errorf("Prune = %+v, want a plan with both builds, and only the first one removed", pruned)
	}
}

func TestPrune_KeepsWhatWasPushedMomentsAgo(t *testing.T) {
	t.Parallel()
	e, _ := newDiskEnv(t)
	image := dockertest.NewImage("old", dockertest.Layer("old"))
	e.engine.Tag("docker.io/a/b:1", image)
	if _, err := e.service.Push(t.Context(), "a/b:1", nil); err != nil {
		t.Fatal(err)
	}
	e.engine.Remove(image)
	pruned, err := e.client(t, e.credentials).Prune(t.Context(), disk.Options{}, func(disk.Step) {})
	if err != nil || len(pruned.Plan.Registry) != 1 || pruned.Removed == nil || len(pruned.Removed.Kept) != 1 {
		t.Errorf("Prune = %+v, %v, want the unused image kept, because it has just been used", pruned, err)
	}
}

// TestServer_AnswersOnlyTheHostAboutDiskSpace sends requests from the addresses of the host, of nodes, and without an address.
func TestServer_AnswersOnlyTheHostAboutDiskSpace(t *testing.T) {
	t.Parallel()
	e, pruner := newDiskEnv(t)
	handler := pusher.HandlerWithGateway(e.service, pruner, "172.18.0.1")
	for from, want := range map[string]int{
		"172.18.0.1:4000": http.StatusOK, "[::ffff:172.18.0.1]:4000": http.StatusOK, "127.0.0.1:4000": http.StatusOK, "[::1]:4000": http.StatusOK,
		"172.18.0.3:4000": http.StatusForbidden, "[fc00::3]:4000": http.StatusForbidden, "": http.StatusForbidden, "@": http.StatusForbidden,
	} {
		for _, request := range []string{"GET /v1/images", "POST /v1/prune", "POST /v1/verify"} {
			method, path, _ := strings.Cut(request, " ")
			asked := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(`{"dryRun":true}`))
			asked.RemoteAddr = from
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, asked)
			if answer.Code != want {
				t.Errorf("%s from %q: status %d, want %d", request, from, answer.Code, want)
			}
			if want == http.StatusForbidden && !json.Valid(answer.Body.Bytes()) {
				t.Errorf("%s from %q: body %q, want JSON", request, from, answer.Body)
			}
		}
	}
}

func TestClient_ReportsErrorsAboutDiskSpace(t *testing.T) {
	t.Parallel()
	ignore := func(disk.Step) {}
	e := newEnv(t) // its server has no pruner
	if _, err := e.client(t, e.credentials).Images(t.Context(), ignore); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("Images without a pruner = %v, want status 404", err)
	}
	registry, err := push.NewRegistry("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	e.pruner = disk.New(registryHost, registry, e.service, noClusters{}, 0, slog.New(slog.DiscardHandler))
	e.address = e.serve(t)
	for name, ask := range map[string]func(*pusher.Client) error{
		"Images": func(c *pusher.Client) error { _, err := c.Images(t.Context(), ignore); return err },
		"Prune":  func(c *pusher.Client) error { _, err := c.Prune(t.Context(), disk.Options{}, ignore); return err },
		"Verify": func(c *pusher.Client) error { _, err := c.Verify(t.Context(), false, ignore); return err },
	} {
		if err := ask(e.client(t, e.credentials)); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s without a registry = %v, want the registry's error", name, err)
		}
	}
}
