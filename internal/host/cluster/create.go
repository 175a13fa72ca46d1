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
	// abortInterval is how often the nodes of a cluster are deleted while kind is still creating it.
	abortInterval = time.Second
)

// unfinishedVolume returns the name of the volume that exists while setup creates the cluster. If it exists when no setup is
// running, setup was killed while it created the cluster.
func (c *Cluster) unfinishedVolume() string { return config.Name + "-creating-" + c.Name() }

// unfinished reports whether setup was killed while it created the cluster. It returns false if another tool has created a cluster
// under the same name since.
func (c *Cluster) unfinished(ctx context.Context) (bool, error) {
	if exists, err := c.engine.VolumeExists(ctx, c.unfinishedVolume()); err != nil || !exists {
		return false, err
	}
	_, others, err := c.marks(ctx)
	return !others, err
}

// create creates the cluster, and also its network if it does not exist. If ctx ends, create deletes the incomplete cluster.
func (c *Cluster) create(ctx context.Context, progress step.Progress) error {
	createdNetwork, err := c.engine.Network.Ensure(ctx)
	if err != nil {
		return err
	}
	if err := c.engine.CreateVolume(ctx, c.unfinishedVolume()); err != nil {
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
	err = abortable(ctx, abortInterval, func() error { return c.provider(progress).Create(c.Name(), options...) }, c.delete)
	ctx = context.WithoutCancel(ctx)
	if err != nil && createdNetwork { // kind removes only its own nodes
		err = errors.Join(err, c.engine.Network.Delete(ctx))
	}
	if err = createError(c.Name(), err); err == nil {
		err = c.mark(ctx) // even if setup is interrupted, because kind has created the cluster
	}
	return errors.Join(err, c.engine.RemoveVolume(ctx, c.unfinishedVolume()))
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

// abortable runs create, which cannot be cancelled. If ctx ends before create does, abortable repeats abort, which makes create
// fail, until create has returned. It then calls abort once more and returns the context's error.
func abortable(ctx context.Context, interval time.Duration, create, abort func() error) error {
	var failed error
	created := make(chan struct{})
	go func() {
		defer close(created)
		failed = create()
	}()
	select {
	case <-created:
		return failed
	case <-ctx.Done():
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		_ = abort() // repeated below
		select {
		case <-created: // with an error, because its nodes are gone
			return errors.Join(ctx.Err(), abort())
		case <-tick.C:
		}
	}
}

// delete deletes the cluster's nodes, and removes the cluster from the kubeconfig.
func (c *Cluster) delete() error {
	c.access = nil
	if err := c.provider(nil).Delete(c.Name(), c.options.Kubeconfig); err != nil {
		return fmt.Errorf("deleting kind cluster %s: %w", c.Name(), err)
	}
	return nil
}

// createError wraps kind's error from creating the cluster and adds a remedy. It returns nil if err is nil.
func createError(name string, err error) error {
	if err == nil {
		return nil
	}
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
