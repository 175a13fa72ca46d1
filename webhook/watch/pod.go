package watch

import (
	"cmp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/podimage"
)

// entries returns an entry for each image of the pod that comes from the host, or that cannot be pulled. It does not set the state
// Stale, the progress, or whether the pod is part of a rollout.
func entries(pod *corev1.Pod, registryHost string) (pods []Pod) {
	read := podimage.Read(pod, registryHost)
	for _, field := range podimage.Fields(pod) {
		name, err := rewrite.Parse(field.Image)
		if err != nil {
			continue // the kubelet rejects the pod
		}
		state, detail := stateOf(pod, field)
		if name.Host() != registryHost && state != CannotPull {
			continue
		}
		entry := Pod{
			Namespace: pod.Namespace, Name: pod.Name, Image: read.Original(field), Digest: name.Digest(),
			State: state, Detail: detail, Created: pod.CreationTimestamp.Time,
		}
		same := slices.IndexFunc(pods, func(other Pod) bool { return other.Image == entry.Image })
		switch {
		case same < 0:
			pods = append(pods, entry)
		case order[entry.State] < order[pods[same].State]: // of two containers with the same image, the one that needs attention
			pods[same] = entry
		}
	}
	return pods
}

// order contains the states' positions in the list of states.
var order = map[PodState]int{
	Stopping: 0, Ended: 1, WaitingForPush: 2, CannotPull: 3, Crashing: 4, Pending: 5, Starting: 6, Stale: 7, NotReady: 8, Running: 9,
}

// stateOf returns the state of the pod with regard to the image in the field.
func stateOf(pod *corev1.Pod, field podimage.Field) (state PodState, detail string) {
	switch {
	case pod.DeletionTimestamp != nil:
		return Stopping, ""
	case pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed:
		return Ended, strings.TrimSpace(string(pod.Status.Phase) + " " + pod.Status.Reason)
	case podimage.Gated(pod):
		return WaitingForPush, ""
	case pod.Spec.NodeName == "":
		return Pending, unscheduled(pod)
	}
	return containerState(statusOf(pod, field))
}

// containerState returns the state of a container of a pod that has a node.
func containerState(status corev1.ContainerStatus) (state PodState, detail string) {
	switch waiting := status.State.Waiting; {
	case waiting == nil:
	case podimage.PullFails(waiting.Reason):
		return CannotPull, cmp.Or(waiting.Message, waiting.Reason)
	case waiting.Reason != "" && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing":
		return Crashing, strings.TrimSpace(waiting.Reason + " " + lastExit(status))
	}
	switch {
	case status.State.Running == nil && status.State.Terminated == nil:
		return Starting, ""
	case status.State.Running != nil && !status.Ready:
		return NotReady, ""
	}
	return Running, ""
}

// statusOf returns the status of the field's container. An image volume has the status of the pod's first container, which does not
// start without it.
func statusOf(pod *corev1.Pod, field podimage.Field) corev1.ContainerStatus {
	for list, statuses := range map[string][]corev1.ContainerStatus{
		"spec.initContainers{": pod.Status.InitContainerStatuses, "spec.containers{": pod.Status.ContainerStatuses,
	} {
		for i := range statuses {
			if field.Path == list+statuses[i].Name+"}" {
				return statuses[i]
			}
		}
	}
	if field.IsVolume() && len(pod.Status.ContainerStatuses) > 0 {
		return pod.Status.ContainerStatuses[0]
	}
	return corev1.ContainerStatus{}
}

// lastExit describes how the container ended before.
func lastExit(status corev1.ContainerStatus) string {
	if ended := status.LastTerminationState.Terminated; ended != nil {
		return "(" + ended.Reason + ")"
	}
	return ""
}

// unscheduled returns why the pod has no node.
func unscheduled(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return condition.Message
		}
	}
	return ""
}

// refine sets what depends on the host's image.
func (p *Pod) refine(image Image, host *hostImage) {
	if p.State == WaitingForPush {
		p.Progress = image.pushing()
	}
	if (p.State == Running || p.State == NotReady) && host != nil && host.newer(digest.Digest(p.Digest)) {
		p.State = Stale
	}
}

// revision identifies the template from which a pod was made.
type revision struct{ owner, hash string }

// revisionOf returns the pod's revision, and false if the pod belongs to no Deployment, StatefulSet or DaemonSet. The pods of a
// Deployment belong to its ReplicaSets, whose names end with the hash.
func revisionOf(pod *corev1.Pod) (revision, bool) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return revision{}, false
	}
	if hash := pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; hash != "" {
		return revision{pod.Namespace + "/" + strings.TrimSuffix(owner.Name, "-"+hash), hash}, true
	}
	hash := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	return revision{pod.Namespace + "/" + owner.Kind + "/" + owner.Name, hash}, hash != ""
}
