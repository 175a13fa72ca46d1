package cluster

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
)

// openVersion connects to a fake daemon of that version.
func openVersion(t *testing.T, version string) (*engine.Engine, *enginetest.Daemon) {
	t.Helper()
	daemon := enginetest.New(t)
	daemon.Info.ServerVersion = version
	docker, err := engine.OpenAt(t.Context(), daemon.Host())
	if err != nil {
		t.Fatal(err)
	}
	return docker, daemon
}

func TestOldestKubernetes_ReadsStoppedNodes(t *testing.T) {
	t.Parallel()
	docker, daemon := openVersion(t, "29.8.0")
	daemon.AddContainer("plain", nil)
	for node, kubernetes := range map[string]string{"first": "v1.37.2\n", "second": "v1.9.11\n", "third": "v1.27.3"} {
		added := daemon.AddContainer(node, nil)
		added.State.Running = false
		added.Files[versionFile] = []byte(kubernetes)
	}
	for want, nodes := range map[string][]string{
		"":       {"plain"},
		"1.37.2": {"first", "plain"},
		"1.27.3": {"first", "third"},
		"1.9.11": {"third", "second", "first"},
	} {
		if got, err := oldestKubernetes(t.Context(), docker, nodes); got != want || err != nil {
			t.Errorf("oldestKubernetes(%q) = %q, %v; want %q", nodes, got, err, want)
		}
	}
}

func TestVersionsStep_NamesWhatIsNeeded(t *testing.T) {
	for docker, want := range map[string]step.State{
		"19.03.15": {Detail: "Docker is version 19.03.15; 20.10 is needed", Remedy: "upgrade Docker"},
		"20.10.24": {OK: true, Detail: "Docker 20.10.24"},
		"29.8.0":   {OK: true, Detail: "Docker 29.8.0"},
	} {
		opened, daemon := openVersion(t, docker)
		t.Setenv("DOCKER_HOST", daemon.Host()) // for kind's list of nodes
		c, err := New(opened, Options{Name: "no-such-cluster"})
		if err != nil {
			t.Fatal(err)
		}
		versions := c.VersionsStep()
		got, err := versions.Check(t.Context())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Check: %v, (-want +got):\n%s", err, diff)
		}
		if err := versions.Apply(t.Context(), nil); (err == nil) != want.OK {
			t.Errorf("Apply = %v, want an error only if the check fails: %+v", err, want)
		}
	}
}

func TestCheckImages_KnowsKindsOwn(t *testing.T) {
	t.Parallel()
	const remedy = "choose a newer one with --node-image, or leave it out for kind's default"
	for _, test := range []struct {
		forAll, inConfig string
		want             step.State
	}{
		{"", "", step.State{OK: true, Detail: "Docker 1"}},
		{"kindest/node:v1.26.6@sha256:00", "", step.State{Detail: "node image kindest/node:v1.26.6@sha256:00 has Kubernetes 1.26.6; 1.27 is needed", Remedy: remedy}},
		{"docker.io/kindest/node:v1.25.0", "", step.State{Detail: "node image docker.io/kindest/node:v1.25.0 has Kubernetes 1.25.0; 1.27 is needed", Remedy: remedy}},
		{"", "kindest/node:v1.24.1", step.State{Detail: "node image kindest/node:v1.24.1 has Kubernetes 1.24.1; 1.27 is needed", Remedy: remedy}},
		{"kindest/node:v1.27.3", "kindest/node:v1.24.1", step.State{OK: true, Detail: "Docker 1"}},
		{"registry.example/node:v1.2.3", "", step.State{OK: true, Detail: "Docker 1"}},
		{"kindest/node:latest", "", step.State{OK: true, Detail: "Docker 1"}},
	} {
		c := &Cluster{options: Options{NodeImage: test.forAll}, kindConfig: &v1alpha4.Cluster{Nodes: []v1alpha4.Node{{}, {Image: test.inConfig}}}}
		if diff := cmp.Diff(test.want, c.checkImages([]string{"Docker 1"})); diff != "" {
			t.Errorf("checkImages of %q and %q (-want +got):\n%s", test.forAll, test.inConfig, diff)
		}
	}
}

func TestCheckContainerd_NamesTheNode(t *testing.T) {
	t.Parallel()
	c := &Cluster{options: Options{Name: "dev"}}
	for _, test := range []struct {
		nodes []node.Node
		want  step.State
	}{
		{nil, step.State{OK: true, Detail: "Docker 1"}},
		{[]node.Node{{Name: "off", Runner: prints("")}}, step.State{OK: true, Detail: "Docker 1"}},
		{
			[]node.Node{
				{Name: "new", Runner: prints("containerd github.com/containerd/containerd/v2 v2.3.4 abc\n")},
				{Name: "old", Runner: prints("containerd github.com/containerd/containerd v1.7.1 def\n")},
			},
			step.State{OK: true, Detail: "Docker 1, containerd 1.7.1"},
		},
		{
			[]node.Node{{Name: "old", Runner: prints("containerd github.com/containerd/containerd v1.5.10 def\n")}},
			step.State{Detail: "node old runs containerd 1.5.10; 1.6 is needed", Remedy: recreate("dev")},
		},
	} {
		if diff := cmp.Diff(test.want, c.checkContainerd(t.Context(), test.nodes, []string{"Docker 1"})); diff != "" {
			t.Errorf("checkContainerd (-want +got):\n%s", diff)
		}
	}
}

// prints is a node whose commands print a text. Without a text, the node does not run.
type prints string

func (p prints) Run(ctx context.Context, _ string, _ ...string) ([]byte, error) {
	if p == "" {
		return nil, errors.New("container is not running")
	}
	return []byte(p), ctx.Err()
}
