package livepod

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"kind-local-registry/webhook/podimage"
)

// State is what the container of an image field does.
type State string

// The states.
const (
	// Running means that the container runs. For an image volume, it means that the pod runs.
	Running State = "running"
	// Ended means that the container has ended and is not being restarted.
	Ended State = "ended"
	// Waiting means that the kubelet has not started the container, or waits before it restarts it.
	Waiting State = "waiting"
	// NotStarted means that the kubelet has not begun with the container.
	NotStarted State = "not started"
)

// PullFailure is the kubelet's report about an image that it cannot use.
type PullFailure struct {
	// Reason is the container's waiting reason, such as ErrImagePull, or the Event's reason for an image volume.
	Reason string
	// Message is the kubelet's message.
	Message string
}

// imageReasons lists the waiting reasons that are about the image (kubernetes, pkg/kubelet/images/types.go).
var imageReasons = []string{
	"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable",
	"SignatureValidationFailed",
}

// statuses returns the statuses of the pod's containers, by Field.Path.
func statuses(pod *corev1.Pod) map[string]*corev1.ContainerStatus {
	byPath := map[string]*corev1.ContainerStatus{}
	for list, all := range map[string][]corev1.ContainerStatus{
		"initContainers": pod.Status.InitContainerStatuses, "containers": pod.Status.ContainerStatuses,
		"ephemeralContainers": pod.Status.EphemeralContainerStatuses,
	} {
		for i := range all {
			byPath["spec."+list+"{"+all[i].Name+"}"] = &all[i]
		}
	}
	return byPath
}

// stateOf returns the state of a container, and the reason if it waits. status is nil for an image volume, and for a container that
// the kubelet has not begun with.
func stateOf(pod *corev1.Pod, field podimage.Field, status *corev1.ContainerStatus) (state State, reason string) {
	switch {
	case status == nil && field.IsVolume() && pod.Status.Phase == corev1.PodRunning:
		return Running, ""
	case status == nil:
		return NotStarted, ""
	case status.State.Running != nil:
		return Running, ""
	case status.State.Terminated != nil:
		return Ended, ""
	case status.State.Waiting != nil:
		return Waiting, status.State.Waiting.Reason
	}
	return NotStarted, ""
}

// digestOf returns the digest of what the container runs. If the container has not started, it returns the digest in the field's
// image. It returns "" if there is none.
func digestOf(image string, state State, status *corev1.ContainerStatus) string {
	name, pinned, _ := strings.Cut(image, "@")
	if status == nil || state == NotStarted || state == Waiting && pinned != "" {
		return pinned
	}
	repository, running, found := strings.Cut(status.ImageID, "@")
	switch {
	case !found && pinned == "":
		return status.ImageID // an image without a repository, such as one from kind load
	case found && (pinned == "" || repository == name || strings.HasPrefix(name, repository+":")):
		return running
	}
	return pinned // the node may know the image under other names too
}

// failureOf returns the kubelet's report about the field's image, or nil if there is none. events are those about the pod, the
// newest first.
func failureOf(
	pod *corev1.Pod, field podimage.Field, state State, status *corev1.ContainerStatus, events []corev1.Event,
) *PullFailure {
	if status == nil {
		if state == Running {
			return nil
		}
		return failedPull(field.Image, events)
	}
	waiting := status.State.Waiting
	if waiting == nil || !slices.Contains(imageReasons, waiting.Reason) || podimage.AboutVolume(pod, field, waiting.Message) {
		return nil
	}
	failure := &PullFailure{Reason: waiting.Reason, Message: waiting.Message}
	if found := failedPull(field.Image, events); found != nil && podimage.PullFails(waiting.Reason) {
		failure.Message = found.Message // the waiting message of older kubelets has no cause
	}
	return failure
}

// failedPull returns the newest Event about a failure to pull the image.
func failedPull(image string, events []corev1.Event) *PullFailure {
	for i := range events {
		if strings.HasPrefix(events[i].Message, `Failed to pull image "`+image+`"`) {
			return &PullFailure{Reason: events[i].Reason, Message: events[i].Message}
		}
	}
	return nil
}

// startsLate reports whether the pod has a container that has not started, so that its Events may tell why.
func startsLate(pod *corev1.Pod) bool {
	byPath := statuses(pod)
	return slices.ContainsFunc(podimage.All(pod), func(field podimage.Field) bool {
		state, _ := stateOf(pod, field, byPath[field.Path])
		return state == NotStarted || state == Waiting
	})
}

// events returns the Events about the pod, the newest first. It returns none if they cannot be read, because they only add detail.
func (c *Cluster) events(ctx context.Context, pod *corev1.Pod) []corev1.Event {
	about := fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String()
	list, err := c.kube.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{FieldSelector: about})
	if err != nil {
		return nil
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return lastSeen(&b).Compare(lastSeen(&a)) })
	return list.Items
}

// lastSeen returns when the Event was last recorded.
func lastSeen(event *corev1.Event) time.Time {
	switch {
	case event.Series != nil:
		return event.Series.LastObservedTime.Time
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp.Time
	}
	return event.EventTime.Time
}
