package kindnode_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host/engine/enginetest"
)

// kubectl returns a fake kubectl that prints the file.
func kubectl(file string) map[string]string {
	return map[string]string{"kubectl": "case \"$*\" in *admin.conf*pods,*) cat " + file + " ;; *) exit 2 ;; esac"}
}

func TestClusters_ReturnsTheImagesOfAllObjects(t *testing.T) {
	t.Parallel()
	directory, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	daemon := enginetest.New(t)
	addNode(t, daemon, "a", "a-control-plane", "control-plane", kubectl(directory+"/testdata/objects.json"))
	addNode(t, daemon, "a", "a-worker", "worker", nil)
	stop(addNode(t, daemon, "a", "a-worker2", "worker", nil))
	addNode(t, daemon, "a", "a-external-load-balancer", "external-load-balancer", nil)
	daemon.AddContainer("other", nil)

	clusters, uses, err := newClient(t, daemon).Clusters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]disk.Cluster{{Name: "a", Nodes: []string{"a-control-plane", "a-worker"}}}, clusters); diff != "" {
		t.Errorf("clusters (-want +got):\n%s", diff)
	}
	use := func(kind, name string, images ...string) (uses []disk.Use) {
		for _, image := range images {
			uses = append(uses, disk.Use{Cluster: "a", Kind: kind, Namespace: "default", Name: name, Image: image})
		}
		return uses
	}
	want := slices.Concat(
		use("Pod", "app", "localhost:5001/app:local@sha256:11", "localhost:5001/app@sha256:11", "localhost:5001/debug:1",
			"localhost:5001/init:1", "localhost:5001/volume:1"),
		use("ReplicaSet", "app-old", "localhost:5001/app@sha256:00"),
		use("CronJob", "nightly", "localhost:5001/job:1"),
		use("ControllerRevision", "db-1", "localhost:5001/db:1"),
	)
	if diff := cmp.Diff(want, uses); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
}

func TestClusters_ReportsClustersWhosePodsAreUnknown(t *testing.T) {
	t.Parallel()
	const down = "echo 'connection refused' >&2; exit 1"
	empty := t.TempDir() + "/empty.json"
	if err := os.WriteFile(empty, []byte(`{"apiVersion":"v1","items":[],"kind":"List"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := enginetest.New(t)
	stop(addNode(t, daemon, "stopped", "stopped-control-plane", "control-plane", nil))
	addNode(t, daemon, "down", "down-control-plane", "control-plane", map[string]string{"kubectl": down})
	addNode(t, daemon, "cut", "cut-control-plane", "control-plane", map[string]string{"kubectl": `echo '{"items":[{"kind":"Pod"'`})
	other := addNode(t, daemon, "other", "other-control-plane", "control-plane", map[string]string{"kubectl": down})
	other.Files = nil // its nodes do not use the registry
	addNode(t, daemon, "two", "two-control-plane", "control-plane", map[string]string{"kubectl": down})
	addNode(t, daemon, "two", "two-control-plane2", "control-plane", kubectl(empty))

	clusters, uses, err := newClient(t, daemon).Clusters(t.Context())
	if err != nil || len(uses) > 0 {
		t.Fatalf("Clusters = uses %v, error %v", uses, err)
	}
	got := map[string]string{}
	for _, cluster := range clusters {
		got[cluster.Name] = cluster.Unknown
	}
	for name, want := range map[string]string{
		"stopped": "no control-plane node is running", "down": "connection refused", "cut": "EOF", "other": "", "two": "",
	} {
		if unknown := got[name]; !strings.Contains(unknown, want) || (unknown == "") != (want == "") {
			t.Errorf("cluster %s: unknown = %q, want %q", name, unknown, want)
		}
	}
}

func TestClusters_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	hung := make(chan struct{})
	node := addNode(t, daemon, "a", "a-control-plane", "control-plane", nil)
	node.Exec = func([]string, io.Writer, io.Writer) int {
		cancel()
		<-hung
		return 0
	}
	defer close(hung)
	if _, _, err := newClient(t, daemon).Clusters(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Clusters = %v, want %v", err, context.Canceled)
	}
}
