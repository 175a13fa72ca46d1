package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
)

const (
	registryHost = "localhost:5001"
	// clusterName is the name of the cluster in these tests. No real cluster has this name.
	clusterName = "no-such-cluster"
)

// newCluster returns a cluster in a fake daemon. named reports whether the user named it.
func newCluster(t *testing.T, named bool) (*enginetest.Daemon, *Cluster) {
	t.Helper()
	daemon := enginetest.New(t)
	docker, err := engine.OpenAt(t.Context(), daemon.Host())
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(docker, Options{Name: clusterName})
	if err != nil {
		t.Fatal(err)
	}
	c.named = named
	return daemon, c
}

// addNode adds a stopped node of a kind cluster. kubeadm is the content of its kubeadm configuration; "" for none.
func addNode(daemon *enginetest.Daemon, cluster, kubeadm string) *enginetest.Container {
	added := daemon.AddContainer(cluster+"-control-plane", map[string]string{config.ClusterLabel: cluster})
	added.State = &container.State{Status: container.StateExited}
	if kubeadm != "" {
		added.Files[kubeadmConfig] = []byte(kubeadm)
	}
	return added
}

const (
	createdBySetup = "nodeRegistration:\n  kubeletExtraArgs:\n    node-labels: \"" + config.CreatedLabel + "=true\"\n"
	createdByOther = "nodeRegistration:\n  kubeletExtraArgs:\n    node-labels: \"\"\n"
)

func TestCondition_ReadsStoppedNodes(t *testing.T) {
	t.Parallel()
	stopped := []string{clusterName + "-control-plane"}
	for name, test := range map[string]struct {
		kubeadm, volume string
		want            Condition
	}{
		"setup created it":        {kubeadm: createdBySetup, want: Condition{Exists: true, Stopped: stopped, Created: true}},
		"another tool created it": {kubeadm: createdByOther, want: Condition{Exists: true, Stopped: stopped}},
		"setup was killed while it created it": {
			volume: "kind-local-registry-creating-" + clusterName, want: Condition{Exists: true, Stopped: stopped, Created: true, Unfinished: true},
		},
		"setup was killed, and another tool has created it since": {
			kubeadm: createdByOther, volume: "kind-local-registry-creating-" + clusterName, want: Condition{Exists: true, Stopped: stopped},
		},
		"setup was killed while it created another": {
			kubeadm: createdByOther, volume: "kind-local-registry-creating-x", want: Condition{Exists: true, Stopped: stopped},
		},
	} {
		daemon, c := newCluster(t, true)
		addNode(daemon, clusterName, test.kubeadm)
		addNode(daemon, "x", createdBySetup)
		if test.volume != "" {
			daemon.Volumes[test.volume] = true
		}
		got, err := c.Condition(t.Context())
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v, condition (-want +got):\n%s", name, err, diff)
		}
	}
	_, c := newCluster(t, true)
	if got, err := c.Condition(t.Context()); err != nil || !cmp.Equal(got, Condition{}) {
		t.Errorf("without containers: %+v, %v; want the zero value", got, err)
	}
}

func TestNames_AreSortedAndUnique(t *testing.T) {
	t.Parallel()
	daemon, c := newCluster(t, true)
	for _, name := range []string{"b", "a"} {
		addNode(daemon, name, "")
		daemon.AddContainer(name+"-worker", map[string]string{config.ClusterLabel: name})
	}
	daemon.AddContainer("kind-registry", nil)
	got, err := Names(t.Context(), c.engine)
	if diff := cmp.Diff([]string{"a", "b"}, got); err != nil || diff != "" {
		t.Errorf("Names: error %v, (-want +got):\n%s", err, diff)
	}
}

func TestPlan_DeletesOnlyACreatedCluster(t *testing.T) {
	t.Parallel()
	for kubeadm, want := range map[string]step.Change{
		createdBySetup: {
			Action: step.Delete, Kind: step.Cluster, Name: clusterName, Loss: true, Detail: "1 node, created by setup, with everything in it",
		},
		createdByOther: {
			Action: step.Keep, Kind: step.Cluster, Name: clusterName, Detail: "it does not answer, so setup cannot tell whether it created the cluster; " +
				"start it with setup up, or delete it with kind delete cluster --name " + clusterName,
		},
	} {
		daemon, c := newCluster(t, true)
		addNode(daemon, clusterName, kubeadm)
		got, err := c.Step(registryHost).Plan(t.Context())
		if diff := cmp.Diff([]step.Change{want}, got); err != nil || diff != "" {
			t.Errorf("plan: error %v, (-want +got):\n%s", err, diff)
		}
		got, err = c.KeepStep("--keep-cluster").Plan(t.Context())
		want = step.Change{Action: step.Keep, Kind: step.Cluster, Name: clusterName, Detail: "--keep-cluster"}
		if diff := cmp.Diff([]step.Change{want}, got); err != nil || diff != "" {
			t.Errorf("plan of KeepStep: error %v, (-want +got):\n%s", err, diff)
		}
	}
}

func TestUndo_KeepsAClusterThatItCannotAsk(t *testing.T) {
	t.Parallel()
	daemon, c := newCluster(t, true)
	addNode(daemon, clusterName, createdByOther)
	if _, err := c.undo(t.Context()); err == nil || !strings.Contains(err.Error(), "delete it with kind delete cluster --name "+clusterName) {
		t.Errorf("undo = %v, want an error with the remedy", err)
	}
	if len(daemon.Containers) != 1 {
		t.Errorf("containers %v, want the node", daemon.Containers)
	}
}

func TestForeign_ReportsOnlyAnUnnamedNewAdoption(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		named, served bool
		kubeadm       string
		want          bool
	}{
		"the user did not name it": {kubeadm: createdByOther, want: true},
		"the user named it":        {kubeadm: createdByOther, named: true},
		"setup created it":         {kubeadm: createdBySetup},
		"setup adopted it before":  {kubeadm: createdByOther, served: true},
	} {
		daemon, c := newCluster(t, test.named)
		added := addNode(daemon, clusterName, test.kubeadm)
		if test.served {
			added.Files[node.HostsFile(registryHost)] = []byte(node.Hosts())
		}
		changes, err := c.Step(registryHost).Foreign(t.Context())
		if err != nil || (len(changes) == 1) != test.want {
			t.Errorf("%s: foreign = %+v, %v; want an adoption: %t", name, changes, err, test.want)
		}
		for _, change := range changes {
			if change.Action != step.Adopt || change.Loss || change.Back == "" || !strings.Contains(change.Detail, "--cluster "+clusterName) {
				t.Errorf("%s: change %+v, want an adoption that can be undone, with the flag that names the cluster", name, change)
			}
		}
	}
}
