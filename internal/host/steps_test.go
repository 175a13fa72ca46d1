package host

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

// addCluster adds a stopped kind cluster named dev that was created by setup or by another tool.
func addCluster(daemon *enginetest.Daemon, created bool) {
	node := daemon.AddContainer("dev-control-plane", map[string]string{config.ClusterLabel: "dev"})
	node.State = &container.State{Status: container.StateExited}
	node.Files["/kind/kubeadm.conf"] = []byte("node-labels: \"\"\n")
	if created {
		node.Files["/kind/kubeadm.conf"] = []byte("node-labels: \"" + config.CreatedLabel + "=true\"\n")
	}
}

func TestStepsDown_OmitsWhatTheClusterTakesAlong(t *testing.T) {
	for name, test := range map[string]struct {
		created bool
		options DownOptions
		nodes   bool        // whether the steps in the cluster are undone
		cluster step.Action // what happens to the cluster
	}{
		"setup created the cluster":        {created: true, cluster: step.Delete},
		"a created cluster is to be kept":  {created: true, options: DownOptions{KeepCluster: true}, nodes: true, cluster: step.Keep},
		"setup adopted the cluster":        {nodes: true, cluster: step.Keep},
		"an adopted cluster is to be kept": {options: DownOptions{KeepCluster: true}, nodes: true, cluster: step.Keep},
	} {
		daemon := newDaemon(t)
		addCluster(daemon, test.created)
		steps, plan, err := mustOpen(t, Options{Cluster: "dev"}).PlanDown(t.Context(), test.options)
		if err != nil {
			t.Fatal(err)
		}
		for _, inCluster := range []string{"nodes", "ConfigMap", "chart", "credentials"} {
			if slices.Contains(names(steps), inCluster) != test.nodes {
				t.Errorf("%s: steps %q, want %s among them: %t", name, names(steps), inCluster, test.nodes)
			}
		}
		i := slices.IndexFunc(plan, func(c step.Change) bool { return c.Kind == step.Cluster })
		if i < 0 || plan[i].Action != test.cluster || plan[i].Loss != (test.cluster == step.Delete) {
			t.Errorf("%s: plan %+v, want the cluster with action %s", name, plan, test.cluster)
		}
		tries := slices.ContainsFunc(plan, func(c step.Change) bool {
			return c.Action == step.Try && strings.Contains(c.Detail, "kind cluster dev does not answer")
		})
		if tries != test.nodes {
			t.Errorf("%s: plan %+v, want the unreadable parts in the stopped cluster: %t", name, plan, test.nodes)
		}
	}
}

func TestForeign_OmitsStepsInACreatedCluster(t *testing.T) {
	daemon := newDaemon(t)
	daemon.AddContainer(config.PusherContainer, nil)
	addCluster(daemon, true)
	changes, err := mustOpen(t, Options{}).Foreign(t.Context())
	if err != nil || len(changes) != 1 || changes[0].Name != config.PusherContainer {
		t.Errorf("Foreign = %+v, %v; want the container alone", changes, err)
	}
}

func TestFacts_DescribeWhatCanBeRead(t *testing.T) {
	daemon := newDaemon(t)
	daemon.Info.ServerVersion = "29.8.0"
	addCluster(daemon, false)
	registry := daemon.AddContainer(config.RegistryContainer, nil)
	registry.State.Status, registry.Image = container.StateRunning, "sha256:registry"
	socket := daemon.Socket()
	want := report.Facts{
		Setup:   config.Version,
		Docker:  report.Docker{Version: "29.8.0", Driver: "overlay2", Socket: socket},
		Cluster: report.Cluster{Name: "dev", State: "stopped", Origin: "adopted", Context: "kind-dev", Nodes: []report.Node{}},
		Registry: report.Registry{
			Container: report.Container{Container: config.RegistryContainer, State: "running", Origin: "adopted", Image: "sha256:registry", Address: "172.18.0.9"},
			Host:      "localhost:5009", Port: 5009, URL: "http://127.0.0.1:5009",
		},
		Pusher: report.Container{Container: config.PusherContainer, State: "absent"},
		Linker: report.Container{Container: config.LinkerContainer, State: "absent"},
	}
	if diff := cmp.Diff(want, mustOpen(t, Options{Cluster: "dev", RegistryPort: 5009}).Facts(t.Context())); diff != "" {
		t.Errorf("Facts (-want +got):\n%s", diff)
	}
}
