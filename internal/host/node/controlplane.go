package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"kind-local-registry/internal/host/step"
)

const (
	// apiServerManifest exists on control planes only.
	apiServerManifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
	// controlPlaneTimeout is how long a control plane may take to run again after a restart of containerd.
	controlPlaneTimeout = 3 * time.Minute
)

// keepingControlPlane calls change. If that restarts containerd on a control plane, it waits until etcd and the API server run again. After
// its first restart, containerd 1.7.1 reports that some sandboxes on the host's network have ended, although they run. The kubelet then
// replaces their pods. If one of them is the API server's, the API server is unavailable for about 35 seconds.
func (n Node) keepingControlPlane(ctx context.Context, progress step.Progress, change func() error) error {
	before, err := n.containerdStart(ctx)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	after, err := n.containerdStart(ctx)
	if err != nil || after == before {
		return err
	}
	return n.awaitControlPlane(ctx, progress)
}

// containerdStart returns the ID that systemd gave to the last start of containerd.
func (n Node) containerdStart(ctx context.Context) (string, error) {
	printed, err := n.Run(ctx, containerdStartScript)
	if err != nil {
		return "", fmt.Errorf("reading when containerd was started: %w", err)
	}
	return string(bytes.TrimSpace(printed)), nil
}

// awaitControlPlane waits until the API server and etcd run, and the API server is ready. It returns immediately if the node is not a
// control plane.
func (n Node) awaitControlPlane(ctx context.Context, progress step.Progress) error {
	reported := ""
	err := step.Poll(ctx, controlPlaneTimeout, func(ctx context.Context) error {
		err := n.checkControlPlane(ctx)
		if err != nil && err.Error() != reported {
			reported = err.Error()
			progress(n.Name + ": waiting for the control plane: " + reported)
		}
		return err
	})
	if err != nil {
		return step.Remedy(fmt.Errorf("waiting for the control plane after the restart of containerd: %w", err),
			"see docker exec "+n.Name+" journalctl -u kubelet, and run the command again")
	}
	return nil
}

// checkControlPlane returns an error that says what does not run. It returns nil if the node is not a control plane.
func (n Node) checkControlPlane(ctx context.Context) error {
	printed, err := n.Run(ctx, controlPlaneScript, apiServerManifest)
	if err != nil || len(printed) == 0 {
		return err
	}
	var (
		sandboxes  sandboxList
		containers containerList
		status     string
		documents  = json.NewDecoder(bytes.NewReader(printed))
	)
	for _, document := range []any{&sandboxes, &containers, &status} {
		if err := documents.Decode(document); err != nil {
			return fmt.Errorf("reading the pods of the control plane: %w", err)
		}
	}
	for _, pod := range sandboxes.staticPods() {
		if !pod.ready || !containers.runIn(pod.sandbox) {
			return errors.New(pod.component + " does not run")
		}
	}
	if status != "200" {
		return fmt.Errorf("the API server is not ready (status %s)", status)
	}
	return nil
}

// sandboxList is what "crictl pods --output json" prints.
type sandboxList struct {
	Items []struct {
		ID        string            `json:"id"`
		State     string            `json:"state"`
		CreatedAt int64             `json:"createdAt,string"`
		Labels    map[string]string `json:"labels"`
	} `json:"items"`
}

// staticPod is a pod that the kubelet runs from a file.
type staticPod struct {
	component string
	sandbox   string // ID of the newest sandbox; "" if there is none
	created   int64  // when it was created, in nanoseconds since 1970
	ready     bool   // whether containerd reports it as ready
}

// staticPods returns the static pods without which the API server does not answer.
func (l sandboxList) staticPods() []staticPod {
	pods := []staticPod{{component: "etcd"}, {component: "kube-apiserver"}}
	for _, sandbox := range l.Items {
		for i := range pods {
			if sandbox.Labels["component"] == pods[i].component && sandbox.Labels["tier"] == "control-plane" && sandbox.CreatedAt > pods[i].created {
				pods[i].sandbox, pods[i].created, pods[i].ready = sandbox.ID, sandbox.CreatedAt, sandbox.State == "SANDBOX_READY"
			}
		}
	}
	return pods
}

// containerList is what "crictl ps --output json" prints: the containers that run.
type containerList struct {
	Containers []struct {
		Sandbox string `json:"podSandboxId"`
	} `json:"containers"`
}

// runIn reports whether a container runs in the sandbox.
func (l containerList) runIn(sandbox string) bool {
	for _, container := range l.Containers {
		if container.Sandbox == sandbox {
			return true
		}
	}
	return false
}
