package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
)

const (
	// kubeadmConfig is the file in which kind gives kubeadm a node's labels.
	kubeadmConfig = "/kind/kubeadm.conf"
	// conditionTimeout limits how long an API server may take to answer Condition.
	conditionTimeout = 5 * time.Second
)

// Condition is what can be learned about a cluster without changing it.
type Condition struct {
	// Exists means that the cluster has containers.
	Exists bool
	// Stopped are the names of the nodes whose containers are not running, in alphabetical order.
	Stopped []string
	// Answers means that the API server answers.
	Answers bool
	// Created means that setup created the cluster. Otherwise the cluster is adopted, or another tool's.
	Created bool
	// Unfinished means that setup was interrupted while it created the cluster.
	Unfinished bool
	// Version is the API server's version, such as v1.37.2. It is "" if the API server does not answer.
	Version string
	// Nodes are the Kubernetes nodes. There are none if the API server does not answer.
	Nodes []NodeInfo
}

// NodeInfo describes a Kubernetes node.
type NodeInfo struct {
	Name string
	// Kubelet is the kubelet's version, such as v1.37.2.
	Kubelet string
	// Containerd is containerd's version, such as 2.3.0.
	Containerd string
}

// Names returns the sorted names of the kind clusters in Docker.
func Names(ctx context.Context, docker *engine.Engine) ([]string, error) {
	all, err := docker.Labelled(ctx, config.ClusterLabel)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range all {
		names = append(names, all[i].Labels[config.ClusterLabel])
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Condition returns the cluster's condition. It waits only a few seconds for the API server.
func (c *Cluster) Condition(ctx context.Context) (Condition, error) {
	var condition Condition
	containers, err := c.containers(ctx)
	if err != nil || len(containers) == 0 {
		return condition, err
	}
	condition.Exists = true
	for _, one := range containers {
		if one.State != container.StateRunning {
			condition.Stopped = append(condition.Stopped, containerName(one))
		}
	}
	slices.Sort(condition.Stopped)
	if condition.Unfinished, err = c.unfinished(ctx); err != nil {
		return condition, err
	}
	if len(condition.Stopped) == 0 && !condition.Unfinished {
		c.ask(ctx, &condition)
	}
	if !condition.Answers {
		condition.Created, _, err = c.marks(ctx)
	}
	condition.Created = condition.Created || condition.Unfinished
	return condition, err
}

// containers returns the cluster's containers: its nodes, and a load balancer if the cluster has one.
func (c *Cluster) containers(ctx context.Context) ([]container.Summary, error) {
	return c.engine.Labelled(ctx, config.ClusterLabel+"="+c.Name())
}

// containerName returns a container's name, without the slash with which Docker's API begins it.
func containerName(c container.Summary) string {
	if len(c.Names) == 0 {
		return c.ID
	}
	return strings.TrimPrefix(c.Names[0], "/")
}

// ask adds to the condition what the API server knows. If the API server does not answer, it adds nothing.
func (c *Cluster) ask(ctx context.Context, condition *Condition) {
	ctx, cancel := context.WithTimeout(ctx, conditionTimeout)
	defer cancel()
	kube, err := c.Kube()
	if err != nil {
		return
	}
	list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	condition.Answers = true
	for i := range list.Items {
		node := &list.Items[i]
		condition.Created = condition.Created || node.Labels[config.CreatedLabel] != ""
		condition.Nodes = append(condition.Nodes, nodeInfo(node))
	}
	if version, err := kube.Discovery().ServerVersion(); err == nil {
		condition.Version = version.GitVersion
	}
}

func nodeInfo(node *corev1.Node) NodeInfo {
	info := node.Status.NodeInfo
	_, containerd, _ := strings.Cut(info.ContainerRuntimeVersion, "://")
	return NodeInfo{Name: node.Name, Kubelet: info.KubeletVersion, Containerd: containerd}
}

// marks reports whether setup's label is in the kubeadm configuration of any of the cluster's nodes, and whether it is missing in
// any. A node has this file from its creation, and Docker can read it while the node is stopped.
func (c *Cluster) marks(ctx context.Context) (ours, others bool, err error) {
	containers, err := c.containers(ctx)
	if err != nil {
		return false, false, err
	}
	for i := range containers {
		files, err := c.engine.ReadFiles(ctx, containerName(containers[i]), kubeadmConfig)
		if err != nil {
			return false, false, fmt.Errorf("reading who created kind cluster %s: %w", c.Name(), err)
		}
		for _, content := range files {
			marked := strings.Contains(string(content), config.CreatedLabel+"=")
			ours, others = ours || marked, others || !marked
		}
	}
	return ours, others, nil
}
