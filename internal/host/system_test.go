package host

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/network"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/host/step"
)

// newDaemon starts a fake Docker daemon and points DOCKER_HOST to it.
func newDaemon(t *testing.T) *enginetest.Daemon {
	t.Helper()
	daemon := enginetest.New(t)
	t.Setenv("DOCKER_HOST", daemon.Host())
	return daemon
}

func mustOpen(t *testing.T, options Options) *System {
	t.Helper()
	system, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return system
}

func names(steps []step.Step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, s.Name)
	}
	return all
}

func TestSystem_StepsAreInOrderOfTheirNeeds(t *testing.T) {
	newDaemon(t)
	system := mustOpen(t, Options{Cluster: "no-such-cluster"})
	all := []string{"versions", "cluster", "images", "registry", "pusher", "linker", "nodes", "ConfigMap", "webhook image", "credentials", "chart", "admission"}
	if diff := cmp.Diff(all, names(system.Steps())); diff != "" {
		t.Errorf("Steps (-want +got):\n%s", diff)
	}
	down, err := system.StepsDown(t.Context(), DownOptions{})
	if err != nil {
		t.Fatal(err)
	}
	withoutCluster := []string{"registry", "cluster", "images", "registry", "pusher", "linker", "webhook image"}
	if diff := cmp.Diff(withoutCluster, names(down)); diff != "" {
		t.Errorf("StepsDown without a cluster (-want +got):\n%s", diff)
	}
}

func TestOpen_TakesFromContainersWhatOptionsLeaveOpen(t *testing.T) {
	daemon := newDaemon(t)
	registry := daemon.AddContainer(config.RegistryContainer, nil)
	registry.HostConfig.PortBindings = network.PortMap{
		network.MustParsePort("5000/tcp"): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "5009"}},
	}
	pusher := daemon.AddContainer(config.PusherContainer, nil)
	pusher.Config.Env = []string{config.RulesVariable + "=alwaysPull: Host"}
	system := mustOpen(t, Options{})
	rules, err := system.Rules()
	if err != nil || rules.AlwaysPull != "Host" || system.RegistryHost() != "localhost:5009" || system.Cluster() != "kind" {
		t.Errorf("rules %v (error %v), registry %s, cluster %s", rules, err, system.RegistryHost(), system.Cluster())
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	system = mustOpen(t, Options{RegistryPort: 5010, RulesFile: file, Cluster: "dev"})
	rules, err = system.Rules()
	if err != nil || rules.AlwaysPull == "Host" || system.RegistryHost() != "localhost:5010" || system.Cluster() != "dev" {
		t.Errorf("rules %v (error %v), registry %s, cluster %s; want those of the options", rules, err, system.RegistryHost(), system.Cluster())
	}
}

func TestOpenToChange_LetsTheNextSetupContinue(t *testing.T) {
	newDaemon(t)
	for range 2 {
		_, unlock, err := OpenToChange(t.Context(), Options{}, func(holder string) { t.Errorf("waiting for %s", holder) })
		if err != nil {
			t.Fatal(err)
		}
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenToChange_UnlocksAfterAFailure(t *testing.T) {
	daemon := newDaemon(t)
	daemon.Refuse = func(_, path string, _ []byte) (int, string) {
		if strings.HasPrefix(path, "/containers/") {
			return 500, "broken"
		}
		return 0, ""
	}
	waiting := func(holder string) { t.Errorf("waiting for %s", holder) }
	if _, _, err := OpenToChange(t.Context(), Options{}, waiting); err == nil || !strings.Contains(err.Error(), "inspecting container kind-registry") {
		t.Errorf("OpenToChange = %v, want Docker's error", err)
	}
	daemon.Refuse = nil
	if _, unlock, err := OpenToChange(t.Context(), Options{}, waiting); err != nil || unlock() != nil {
		t.Errorf("the next OpenToChange = %v", err)
	}
}

func TestSystem_PushSaysWhyNothingCanBePushed(t *testing.T) {
	daemon := newDaemon(t)
	daemon.AddImage("example/app:local", "sha256:app")
	system := mustOpen(t, Options{})
	if local, err := system.LocalImages(t.Context()); err != nil || !slices.Equal(local, []string{"example/app:local"}) {
		t.Errorf("LocalImages = %q, %v", local, err)
	}
	pushed, err := system.Push(t.Context(), []string{"example/app:local"}, nil)
	if want := "nothing can be pushed: no container kind-registry; run setup up"; pushed != nil || err == nil || err.Error() != want {
		t.Errorf("Push = %v, %v; want %q", pushed, err, want)
	}
}
