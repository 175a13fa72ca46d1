package chart

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"k8s.io/client-go/rest"

	"kind-local-registry/charts"
	"kind-local-registry/config"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/registry/registrytest"
)

// newChart returns a chart with an empty registry and no pusher or cluster. Its fake Docker daemon has the webhook's image.
func newChart(t *testing.T) *Chart {
	t.Helper()
	images := dockertest.NewEngine(t)
	images.Tag("docker.io/"+service.WebhookImage(), dockertest.NewImage("webhook", dockertest.Layer("webhook")))
	docker, err := engine.OpenAt(t.Context(), enginetest.New(t).Host())
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(registrytest.Start(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	registry, err := service.OpenRegistry(t.Context(), docker, service.RegistryOptions{Port: port}, nil)
	if err != nil {
		t.Fatal(err)
	}
	pusher, err := service.OpenPusher(t.Context(), registry, service.PusherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return New(nil, images.Host(), registry, pusher, Options{RestartOnRebuild: new(bool)})
}

func TestImageStep_PushesTheWebhooksImage(t *testing.T) {
	t.Parallel()
	c := newChart(t)
	s := c.ImageStep()
	want := "image " + service.WebhookImage() + " does not exist yet in the registry"
	if state, err := s.Check(t.Context()); err != nil || state.OK || state.Detail != want {
		t.Errorf("before: %+v, %v; want %q", state, err, want)
	}
	var progress []string
	if err := s.Apply(t.Context(), func(line string) { progress = append(progress, line) }); err != nil {
		t.Fatal(err)
	}
	want = c.registry.Host() + "/" + service.WebhookImage() + "@sha256:"
	if state, err := s.Check(t.Context()); err != nil || !state.OK || !strings.HasPrefix(state.Detail, want) {
		t.Errorf("after: %+v, %v; want %q…", state, err, want)
	}
	if len(progress) == 0 {
		t.Error("the push reports no progress")
	}
}

func TestSteps_WaitForEarlierOnes(t *testing.T) {
	t.Parallel()
	c := newChart(t)
	waits := func(waiting step.Step, want string) {
		t.Helper()
		if state, err := waiting.Check(t.Context()); err != nil || state.OK || state.Detail != want {
			t.Errorf("%s: %+v, %v; want %q", waiting.Name, state, err, want)
		}
	}
	waits(c.CredentialsStep(), "kind-registry-pusher does not exist yet")
	waits(c.Step(), "image "+service.WebhookImage()+" does not exist yet in the registry")
	if err := c.ImageStep().Apply(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	waits(c.Step(), "kind-registry-pusher does not exist yet")
}

func TestFingerprint_DependsOnChartAndValues(t *testing.T) {
	t.Parallel()
	carried, err := charts.Load()
	if err != nil {
		t.Fatal(err)
	}
	first, err := fingerprint(carried, map[string]any{"a": 1, "b": 2})
	if err != nil || len(first) > 63 {
		t.Fatalf("fingerprint = %q, %v; want a valid label value", first, err)
	}
	for name, test := range map[string]struct {
		chart  *chartv2.Chart
		values map[string]any
		same   bool
	}{
		"the same values": {carried, map[string]any{"b": 2, "a": 1}, true},
		"another value":   {carried, map[string]any{"a": 1, "b": 3}, false},
		"another chart":   {&chartv2.Chart{}, map[string]any{"a": 1, "b": 2}, false},
	} {
		if got, err := fingerprint(test.chart, test.values); err != nil || (got == first) != test.same {
			t.Errorf("%s: fingerprint = %q, %v; first %q", name, got, err, first)
		}
	}
	if _, err := fingerprint(carried, map[string]any{"a": func() {}}); err == nil {
		t.Error("values that cannot be encoded as JSON have a fingerprint")
	}
}

func TestClusterAccess_UsesNoKubeconfig(t *testing.T) {
	t.Parallel()
	access := clusterAccess{&rest.Config{Host: "https://127.0.0.1:6443"}}
	if got, err := access.ToRESTConfig(); err != nil || got.Host != "https://127.0.0.1:6443" {
		t.Errorf("ToRESTConfig = %+v, %v", got, err)
	}
	if namespace, _, err := access.ToRawKubeConfigLoader().Namespace(); err != nil || namespace != config.Name {
		t.Errorf("namespace %q, %v; want %s", namespace, err, config.Name)
	}
	if _, err := access.ToRESTMapper(); err != nil {
		t.Errorf("ToRESTMapper: %v", err)
	}
}
