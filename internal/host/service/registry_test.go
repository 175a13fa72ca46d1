package service

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"

	"kind-local-registry/config"
)

func TestRegistry_ApplyRunsTheCarriedImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	if state, err := registry.check(t.Context()); err != nil || state.OK || state.Detail != "no container kind-registry" {
		t.Errorf("before: %+v, %v", state, err)
	}
	state := registry.mustApply(t)
	if want := config.RegistryHost(w.port) + ", kind-registry at "; !strings.HasPrefix(state.Detail, want) {
		t.Errorf("detail %q, want %q…", state.Detail, want)
	}
	if got := w.daemon.Containers[config.RegistryContainer]; got.Image != "sha256:registry" || !w.daemon.Volumes[config.RegistrySocketVolume] {
		t.Errorf("runs %s with volumes %v, want the carried image with its socket", got.Image, w.daemon.Volumes)
	}
}

func TestRegistry_OtherImageIsReportedWritable(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]bool{"registry:2": true, "": false} {
		state := newWorld(t).openRegistry(t, image).mustApply(t)
		if strings.Contains(state.Detail, "pods may write to it") != want {
			t.Errorf("registry image %q: %+v, want it to say that pods may write: %t", image, state, want)
		}
	}
	w := newWorld(t)
	w.adopted()
	state, err := w.openRegistry(t, "").check(t.Context())
	if err != nil || !state.OK || !strings.Contains(state.Detail, "pods may write to it") {
		t.Errorf("adopted registry: %+v (error %v), want OK and a note that pods may write", state, err)
	}
}

func TestOpenRegistry_KeepsImageAndPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.openRegistry(t, "registry:2").mustApply(t)
	kept, err := OpenRegistry(t.Context(), w.engine, RegistryOptions{}, nil)
	if err != nil || kept.options != (RegistryOptions{Image: "registry:2", Port: w.port}) {
		t.Errorf("options %+v, %v; want registry:2 on port %d", kept.options, err, w.port)
	}
	if !slices.Contains(w.daemon.Requests, "POST /images/create") {
		t.Errorf("requests %q, want a request that pulls registry:2", w.daemon.Requests)
	}
	fresh, err := OpenRegistry(t.Context(), newWorld(t).engine, RegistryOptions{}, nil)
	if err != nil || fresh.options != (RegistryOptions{Port: config.RegistryPort}) {
		t.Errorf("options %+v, %v; want those of a new registry", fresh.options, err)
	}
}

func TestRegistry_PullErrorHasARemedy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.daemon.Refuse = func(_, path string, _ []byte) (int, string) {
		if path == "/images/create" {
			return http.StatusInternalServerError, "no such host"
		}
		return 0, ""
	}
	err := w.openRegistry(t, "registry:2").Step().Apply(t.Context(), func(string) {})
	if err == nil || !strings.Contains(err.Error(), "pulling registry image registry:2") || !strings.Contains(err.Error(), "leave --registry-image out") {
		t.Errorf("Apply = %v", err)
	}
}

func TestRegistry_ApplyAdoptsWithoutRecreating(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	adopted := w.adopted()
	adopted.State = &container.State{Status: container.StateExited}
	delete(adopted.NetworkSettings.Networks, "kind")
	registry := w.openRegistry(t, "")
	if state, err := registry.check(t.Context()); err != nil || state.OK || state.Detail != "container kind-registry is exited" {
		t.Errorf("before: %+v, %v", state, err)
	}
	state := registry.mustApply(t)
	if !strings.Contains(state.Detail, "adopted, ") {
		t.Errorf("detail %q, want it to say that the registry is adopted", state.Detail)
	}
	if got := w.daemon.Containers[config.RegistryContainer]; got.ID != adopted.ID || got.NetworkSettings.Networks["kind"] == nil {
		t.Errorf("the container is %+v, want %s on network kind", got, adopted.ID)
	}
	if detail, err := registry.remove(t.Context()); err != nil || !strings.HasPrefix(detail, "kind-registry kept: setup only adopted it; it is disconnected from network kind") {
		t.Errorf("remove = %q, %v", detail, err)
	}
	if left := w.daemon.Containers[config.RegistryContainer]; left == nil || left.NetworkSettings.Networks["kind"] != nil {
		t.Errorf("the adopted registry is %+v, want it without network kind, as before", left)
	}
}

func TestRegistry_ApplyUnpausesAnAdoptedContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	adopted := w.adopted()
	adopted.State = &container.State{Status: container.StatePaused, Running: true, Paused: true}
	registry := w.openRegistry(t, "")
	if err := registry.CheckPort(t.Context()); err != nil {
		t.Errorf("CheckPort = %v, want nil, because the container has the port", err)
	}
	if state, err := registry.check(t.Context()); err != nil || state.OK || state.Detail != "container kind-registry is paused" {
		t.Errorf("before: %+v, %v", state, err)
	}
	registry.mustApply(t)
	if got := w.daemon.Containers[config.RegistryContainer]; got.ID != adopted.ID || got.State.Paused {
		t.Errorf("container %s is paused: %t, want %s unpaused", got.ID, got.State.Paused, adopted.ID)
	}
}

func TestRegistry_CheckPortNamesWhatAStoppedContainerPublishes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	adopted := w.adopted()
	adopted.State = &container.State{Status: container.StateExited}
	registry := w.openRegistry(t, "")
	registry.options.Port = 1
	want := "container kind-registry publishes port " + strconv.Itoa(w.port) + ", not 1; use --registry-port"
	if err := registry.CheckPort(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("CheckPort = %v, want %q", err, want)
	}
	adopted.HostConfig.PortBindings = nil
	want = "container kind-registry publishes no port; remove the container"
	if err := registry.CheckPort(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("CheckPort = %v, want %q", err, want)
	}
}

func TestRegistry_CheckAdoptedNamesTheFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	adopted := w.adopted()
	registry := w.openRegistry(t, "")
	delete(adopted.NetworkSettings.Networks, "kind")
	if state, err := registry.check(t.Context()); err != nil || state.Detail != "container kind-registry is not on network kind" {
		t.Errorf("another network: %+v, %v", state, err)
	}
	registry.options.Port = 1
	state, err := registry.check(t.Context())
	if err != nil || !strings.Contains(state.Detail, "publishes port "+strconv.Itoa(w.port)+", not 1") || !strings.Contains(state.Remedy, "--registry-port") {
		t.Errorf("another port: %+v, %v", state, err)
	}
	if err := registry.CheckPort(t.Context()); err == nil || err.Error() != state.Detail+"; "+state.Remedy {
		t.Errorf("CheckPort = %v, want the same as the check", err)
	}
}

func TestRegistry_CheckReportsASilentRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	w.server.Config.Handler = http.NotFoundHandler()
	if state, err := registry.check(t.Context()); err != nil || state.OK || !strings.Contains(state.Detail, "answers 404") || state.Remedy != "see docker logs kind-registry" {
		t.Errorf("answers 404: %+v, %v", state, err)
	}
	w.server.Close()
	if state, err := registry.check(t.Context()); err != nil || state.OK || !strings.Contains(state.Detail, "does not answer") {
		t.Errorf("no answer: %+v, %v", state, err)
	}
}

func TestRegistry_CheckPortFindsAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	err := registry.CheckPort(t.Context())
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(w.port)) || !strings.Contains(err.Error(), "--registry-port") {
		t.Errorf("CheckPort = %v", err)
	}
	w.server.Close()
	if err := registry.CheckPort(t.Context()); err != nil {
		t.Errorf("CheckPort = %v for a free port", err)
	}
}

func TestRegistry_CheckPortAcceptsTheRunningRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	if err := registry.CheckPort(t.Context()); err != nil {
		t.Errorf("CheckPort = %v for the registry's own port", err)
	}
}

func TestRegistry_RemoveDeletesContainerVolumesAndImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	if detail, err := registry.remove(t.Context()); err != nil || detail != "kind-registry and its images removed" {
		t.Errorf("remove = %q, %v", detail, err)
	}
	if len(w.daemon.Containers)+len(w.daemon.Volumes) > 0 || len(w.daemon.Images) != 1 {
		t.Errorf("containers %v, volumes %v, images %v; want the webhook's image alone", w.daemon.Containers, w.daemon.Volumes, w.daemon.Images)
	}
	if _, err := registry.remove(t.Context()); err != nil {
		t.Errorf("a second remove = %v", err)
	}
}

func TestRegistry_RemoveKeepsASocketInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	w.daemon.Refuse = func(method, path string, _ []byte) (int, string) {
		if method == http.MethodDelete && path == "/volumes/"+config.RegistrySocketVolume {
			return http.StatusConflict, "volume is in use"
		}
		return 0, ""
	}
	if _, err := registry.remove(t.Context()); err != nil || !w.daemon.Volumes[config.RegistrySocketVolume] {
		t.Errorf("remove = %v with volumes %v", err, w.daemon.Volumes)
	}
}

func TestRegistry_CheckFailsWithoutDocker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	w.daemon.Refuse = func(string, string, []byte) (int, string) { return http.StatusInternalServerError, "broken" }
	for name, call := range map[string]func() error{
		"check":     func() error { _, err := registry.check(t.Context()); return err },
		"apply":     func() error { return registry.apply(t.Context(), func(string) {}) },
		"remove":    func() error { _, err := registry.remove(t.Context()); return err },
		"foreign":   func() error { _, err := registry.foreign(t.Context()); return err },
		"plan":      func() error { _, err := registry.KeepStep().Plan(t.Context()); return err },
		"CheckPort": func() error { return registry.CheckPort(t.Context()) },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "inspecting container kind-registry") || errors.Unwrap(err) == nil {
			t.Errorf("%s = %v, want Docker's error", name, err)
		}
	}
}
