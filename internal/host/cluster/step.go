package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/exec"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

const (
	// readyTimeout is how long a new cluster's nodes may take to be Ready.
	readyTimeout = 5 * time.Minute
	// answerTimeout is how long an API server that is starting may take to answer.
	answerTimeout = 30 * time.Second
)

// Step returns the step that creates or starts the cluster, and adds it to the kubeconfig.
func (c *Cluster) Step() step.Step {
	return step.Step{Name: "cluster", Check: c.check, Apply: c.apply, Undo: c.undo}
}

// context returns the name that kind gives the cluster's context in a kubeconfig.
func (c *Cluster) context() string { return "kind-" + c.Name() }

func (c *Cluster) check(ctx context.Context) (step.State, error) {
	exists, err := c.exists()
	if err != nil {
		return step.State{}, err
	}
	if !exists {
		return step.State{Detail: "no kind cluster " + c.Name()}, nil
	}
	stopped, err := c.stoppedNodes(ctx)
	if err != nil {
		return step.State{}, err
	}
	if len(stopped) > 0 {
		return step.State{Detail: "stopped: " + strings.Join(stopped, ", ")}, nil
	}
	created, nodes, err := c.origin(ctx)
	if err != nil {
		return step.State{
			Detail: fmt.Sprintf("kind cluster %s does not answer: %v", c.Name(), err),
			Remedy: "see docker logs " + c.Name() + "-control-plane",
		}, nil
	}
	if !hasContext(c.options.Kubeconfig, c.context()) {
		return step.State{Detail: "the kubeconfig has no context " + c.context()}, nil
	}
	origin := "adopted"
	if created {
		origin = "created by setup"
	}
	return step.State{OK: true, Detail: fmt.Sprintf("%s, %s, %s", c.Name(), step.Count(nodes, "node"), origin)}, nil
}

// stoppedNodes returns the names of the nodes whose containers are not running.
func (c *Cluster) stoppedNodes(ctx context.Context) ([]string, error) {
	all, err := c.provider(nil).ListNodes(c.Name())
	if err != nil {
		return nil, fmt.Errorf("listing the nodes of kind cluster %s: %w", c.Name(), err)
	}
	var stopped []string
	for _, node := range all {
		found, err := c.engine.Find(ctx, node.String())
		if err != nil {
			return nil, err
		}
		if found == nil || !found.Running() {
			stopped = append(stopped, node.String())
		}
	}
	return stopped, nil
}

// origin reports whether setup created the cluster, according to a label on the nodes, and returns the number of nodes. It waits
// for an API server that is still starting.
func (c *Cluster) origin(ctx context.Context) (created bool, nodes int, err error) {
	kube, err := c.Kube()
	if err != nil {
		return false, 0, err
	}
	err = step.Poll(ctx, answerTimeout, func(ctx context.Context) error {
		list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		nodes = len(list.Items)
		for _, node := range list.Items {
			created = created || node.Labels[config.CreatedLabel] != ""
		}
		return nil
	})
	return created, nodes, err
}

func (c *Cluster) apply(ctx context.Context, progress step.Progress) error {
	exists, err := c.exists()
	if err != nil {
		return err
	}
	if exists {
		return c.start(ctx)
	}
	return c.create(ctx, progress)
}

// create creates the cluster, and also its network if it does not exist.
func (c *Cluster) create(ctx context.Context, progress step.Progress) error {
	createdNetwork, err := c.engine.Network.Ensure(ctx)
	if err != nil {
		return err
	}
	options := []cluster.CreateOption{
		cluster.CreateWithV1Alpha4Config(c.kindConfig), cluster.CreateWithWaitForReady(readyTimeout),
		cluster.CreateWithDisplayUsage(false), cluster.CreateWithDisplaySalutation(false),
		cluster.CreateWithKubeconfigPath(c.options.Kubeconfig),
	}
	if c.options.NodeImage != "" {
		options = append(options, cluster.CreateWithNodeImage(c.options.NodeImage))
	}
	err = c.provider(progress).Create(c.Name(), options...)
	if err == nil {
		return c.mark(context.WithoutCancel(ctx)) // even if setup is interrupted, because kind has created the cluster
	}
	if createdNetwork { // kind removes only its own nodes
		err = errors.Join(err, c.engine.Network.Delete(context.WithoutCancel(ctx)))
	}
	return createError(c.Name(), err)
}

// mark labels every node, so that setup recognises the cluster as its own. The kind configuration has the label too, but a kubeadm
// patch that sets node-labels replaces it.
func (c *Cluster) mark(ctx context.Context) error {
	kube, err := c.Kube()
	if err != nil {
		return err
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"true"}}}`, config.CreatedLabel)
	err = step.Poll(ctx, answerTimeout, func(ctx context.Context) error {
		list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "!" + config.CreatedLabel})
		if err != nil {
			return err
		}
		for i := range list.Items {
			_, err := kube.CoreV1().Nodes().Patch(ctx, list.Items[i].Name, types.MergePatchType, patch, metav1.PatchOptions{})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return step.Remedy(fmt.Errorf("labelling the nodes of kind cluster %s: %w", c.Name(), err),
			"setup down would keep this cluster: delete it with kind delete cluster --name "+c.Name())
	}
	return nil
}

// createError wraps kind's error from creating the cluster and adds a remedy.
func createError(name string, err error) error {
	advice := "see https://kind.sigs.k8s.io/docs/user/known-issues/"
	if strings.Contains(err.Error(), "failed to pull image") { // kind's error has no type
		advice = "with --node-image, name a node image that docker image ls lists"
	}
	return step.Remedy(fmt.Errorf("creating kind cluster %s: %w", name, withOutput(err)), advice)
}

// withOutput adds the last line of the output of the command that kind ran, because the exit status alone explains little.
func withOutput(err error) error {
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

// start starts the stopped nodes of an existing cluster and waits until its API server answers. It adds the cluster to the
// kubeconfig unless the kubeconfig already has the cluster's context.
func (c *Cluster) start(ctx context.Context) error {
	stopped, err := c.stoppedNodes(ctx)
	if err != nil {
		return err
	}
	for _, name := range stopped {
		if err := c.engine.Start(ctx, name); err != nil {
			return err
		}
	}
	if _, _, err := c.origin(ctx); err != nil || hasContext(c.options.Kubeconfig, c.context()) {
		return err
	}
	if err := c.provider(nil).ExportKubeConfig(c.Name(), c.options.Kubeconfig, false); err != nil {
		return fmt.Errorf("adding kind cluster %s to the kubeconfig: %w", c.Name(), err)
	}
	return nil
}

func (c *Cluster) undo(ctx context.Context) (string, error) {
	exists, err := c.exists()
	if err != nil || !exists {
		return "nothing to delete", err
	}
	created, _, err := c.origin(ctx)
	if err != nil {
		return "", step.Remedy(err, "delete it with kind delete cluster --name "+c.Name())
	}
	if !created {
		return c.Name() + " kept: setup only adopted it", nil
	}
	c.access = nil
	if err := c.provider(nil).Delete(c.Name(), c.options.Kubeconfig); err != nil {
		return "", fmt.Errorf("deleting kind cluster %s: %w", c.Name(), err)
	}
	return c.Name() + " deleted", nil
}
