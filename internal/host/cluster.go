package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/exec"

	"kind-local-registry/config"
)

// readyTimeout is how long a new cluster's nodes may take to be Ready.
const readyTimeout = 5 * time.Minute

func (s *System) clusterStep() Step {
	return Step{Name: "cluster", Check: s.checkCluster, Apply: s.applyCluster, Undo: s.undoCluster}
}

func (s *System) checkCluster(ctx context.Context) (State, error) {
	exists, err := s.clusterExists()
	if err != nil {
		return State{}, err
	}
	if !exists {
		return State{Detail: "no kind cluster " + s.Cluster()}, nil
	}
	stopped, err := s.stoppedNodes(ctx)
	if err != nil {
		return State{}, err
	}
	if len(stopped) > 0 {
		return State{Detail: "stopped: " + strings.Join(stopped, ", ")}, nil
	}
	created, count, err := s.createdBySetup(ctx)
	if err != nil {
		return State{
			Detail: fmt.Sprintf("kind cluster %s does not answer: %v", s.Cluster(), err),
			Remedy: "see docker logs " + s.Cluster() + "-control-plane",
		}, nil
	}
	if !s.options.hasContext("kind-" + s.Cluster()) {
		return State{Detail: "the kubeconfig has no context kind-" + s.Cluster()}, nil
	}
	origin := "adopted"
	if created {
		origin = "created by setup"
	}
	return State{OK: true, Detail: fmt.Sprintf("%s, %s, %s", s.Cluster(), countOf(count, "node"), origin)}, nil
}

func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// stoppedNodes returns the names of the cluster's nodes whose containers do not run.
func (s *System) stoppedNodes(ctx context.Context) ([]string, error) {
	all, err := s.provider(nil).ListNodes(s.Cluster())
	if err != nil {
		return nil, fmt.Errorf("listing the nodes of kind cluster %s: %w", s.Cluster(), err)
	}
	var stopped []string
	for _, node := range all {
		found, err := s.find(ctx, node.String())
		if err != nil {
			return nil, err
		}
		if found == nil || !found.State.Running {
			stopped = append(stopped, node.String())
		}
	}
	return stopped, nil
}

// createdBySetup says whether setup created the cluster, by the label that it had kind put on the nodes, and how many
// nodes there are. It waits a little for an API server that is just starting.
func (s *System) createdBySetup(ctx context.Context) (created bool, count int, err error) {
	kube, err := s.kube()
	if err != nil {
		return false, 0, err
	}
	err = poll(ctx, 30*time.Second, func(ctx context.Context) error {
		list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		count = len(list.Items)
		for _, node := range list.Items {
			created = created || node.Labels[config.CreatedLabel] != ""
		}
		return nil
	})
	return created, count, err
}

func (s *System) applyCluster(ctx context.Context, progress Progress) error {
	exists, err := s.clusterExists()
	if err != nil {
		return err
	}
	if exists {
		return s.wakeCluster(ctx)
	}
	madeNetwork, err := s.ensureNetwork(ctx)
	if err != nil {
		return err
	}
	options := []cluster.CreateOption{
		cluster.CreateWithV1Alpha4Config(s.kindConfig), cluster.CreateWithWaitForReady(readyTimeout),
		cluster.CreateWithDisplayUsage(false), cluster.CreateWithDisplaySalutation(false),
		cluster.CreateWithKubeconfigPath(s.options.Kubeconfig),
	}
	if s.options.NodeImage != "" {
		options = append(options, cluster.CreateWithNodeImage(s.options.NodeImage))
	}
	// kind removes its own nodes where this fails; the network is ours to remove.
	if err := s.provider(progress).Create(s.Cluster(), options...); err != nil {
		if madeNetwork {
			_, removed := s.docker.NetworkRemove(context.WithoutCancel(ctx), s.network, client.NetworkRemoveOptions{})
			err = errors.Join(err, removed)
		}
		return s.notCreated(err)
	}
	return nil
}

// notCreated says why kind created no cluster, and what to do about it.
func (s *System) notCreated(err error) error {
	advice := "see https://kind.sigs.k8s.io/docs/user/known-issues/"
	if strings.Contains(err.Error(), "failed to pull image") { // kind's words; the error has no type
		advice = "name a node image that Docker holds with --node-image, as docker image ls lists them"
	}
	return remedy(fmt.Errorf("creating kind cluster %s: %w", s.Cluster(), explain(err)), advice)
}

// wakeCluster starts the stopped nodes of an existing cluster, waits until its API server answers, and enters it in the
// kubeconfig where it is missing there.
func (s *System) wakeCluster(ctx context.Context) error {
	stopped, err := s.stoppedNodes(ctx)
	if err != nil {
		return err
	}
	for _, name := range stopped {
		if _, err := s.docker.ContainerStart(ctx, name, client.ContainerStartOptions{}); err != nil {
			return fmt.Errorf("starting node %s: %w", name, err)
		}
	}
	if _, _, err := s.createdBySetup(ctx); err != nil || s.options.hasContext("kind-"+s.Cluster()) {
		return err
	}
	if err := s.provider(nil).ExportKubeConfig(s.Cluster(), s.options.Kubeconfig, false); err != nil {
		return fmt.Errorf("entering kind cluster %s in the kubeconfig: %w", s.Cluster(), err)
	}
	return nil
}

// explain adds the last line that a failed command of kind printed, which says more than its exit status.
func explain(err error) error {
	failed := exec.RunErrorForError(err)
	if failed == nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(failed.Output)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

func (s *System) undoCluster(ctx context.Context) (string, error) {
	exists, err := s.clusterExists()
	if err != nil || !exists {
		return "there was none", err
	}
	created, _, err := s.createdBySetup(ctx)
	if err != nil {
		return "", remedy(err, "delete it with kind delete cluster --name "+s.Cluster())
	}
	if !created {
		return s.Cluster() + " left: setup only adopted it", nil
	}
	s.access = nil
	if err := s.provider(nil).Delete(s.Cluster(), s.options.Kubeconfig); err != nil {
		return "", fmt.Errorf("deleting kind cluster %s: %w", s.Cluster(), err)
	}
	return s.Cluster() + " deleted", nil
}

// willDeleteCluster says whether down is going to delete the cluster, and all that is in it.
func (s *System) willDeleteCluster(ctx context.Context) bool {
	created, _, err := s.createdBySetup(ctx)
	return err == nil && created
}

// nodes returns the cluster's Kubernetes nodes; none where there is no cluster.
func (s *System) nodes() ([]nodes.Node, error) {
	found, err := s.provider(nil).ListInternalNodes(s.Cluster())
	if err != nil {
		return nil, fmt.Errorf("listing the nodes of kind cluster %s: %w", s.Cluster(), err)
	}
	return found, nil
}

// poll calls try until it succeeds or the time is over, and returns its last error.
func poll(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
