package delivery

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/webhook/podimage"
)

// Wants reports whether the controller must deliver the pod's images or heal the pod.
func Wants(pod *podimage.Pod) bool { return wantsDelivery(pod) || wantsHeal(pod) }

// wantsDelivery reports whether the pod is gated, or already has a node and waits for a push. A pod that is created with a node
// cannot be gated.
func wantsDelivery(pod *podimage.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodPending {
		return false
	}
	return podimage.Gated(pod.Pod) || pod.Spec.NodeName != "" && len(pod.Waiting()) > 0
}

// wantsHeal reports whether the pod's namespace is eligible and the kubelet cannot pull one of the pod's images. This can happen
// in a running pod too, if a container was updated or its image was removed from the node.
func wantsHeal(pod *podimage.Pod) bool {
	active := pod.Status.Phase == corev1.PodPending || pod.Status.Phase == corev1.PodRunning
	return pod.DeletionTimestamp == nil && active && eligible(pod) && len(pod.Unpullable()) > 0
}

// imagesChanged reports whether an update changed one of the pod's images.
func imagesChanged(pod, old *corev1.Pod) bool { return len(podimage.Updated(pod, old)) > 0 }

// Strip reduces a cached pod to the fields that Wants, the journal, the loop guard and the restart controller read. It is a
// cache.TransformFunc and returns any other object unchanged.
func Strip(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	stripped := &corev1.Pod{
		TypeMeta: pod.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, GenerateName: pod.GenerateName, UID: pod.UID,
			OwnerReferences: pod.OwnerReferences, ResourceVersion: pod.ResourceVersion, DeletionTimestamp: pod.DeletionTimestamp,
			Labels: stripLabels(pod.Labels),
		},
		Spec: corev1.PodSpec{
			NodeName:        pod.Spec.NodeName,
			SchedulingGates: pod.Spec.SchedulingGates,
			InitContainers:  stripContainers(pod.Spec.InitContainers),
			Containers:      stripContainers(pod.Spec.Containers),
			Volumes:         stripVolumes(pod.Spec.Volumes),
		},
		Status: corev1.PodStatus{
			Phase:                 pod.Status.Phase,
			InitContainerStatuses: stripStatuses(pod.Status.InitContainerStatuses),
			ContainerStatuses:     stripStatuses(pod.Status.ContainerStatuses),
		},
	}
	if originals, ok := pod.Annotations[config.OriginalsAnnotation]; ok {
		stripped.Annotations = map[string]string{config.OriginalsAnnotation: originals}
	}
	return stripped, nil
}

// stripLabels keeps only the labels with the revision of the owner's template.
func stripLabels(labels map[string]string) map[string]string {
	var stripped map[string]string
	for _, key := range []string{appsv1.ControllerRevisionHashLabelKey, appsv1.DefaultDeploymentUniqueLabelKey} {
		if revision, ok := labels[key]; ok {
			if stripped == nil {
				stripped = map[string]string{}
			}
			stripped[key] = revision
		}
	}
	return stripped
}

// stripContainers keeps only names and images.
func stripContainers(containers []corev1.Container) []corev1.Container {
	stripped := make([]corev1.Container, len(containers))
	for i := range containers {
		stripped[i] = corev1.Container{Name: containers[i].Name, Image: containers[i].Image}
	}
	return stripped
}

// stripVolumes keeps only image volumes.
func stripVolumes(volumes []corev1.Volume) []corev1.Volume {
	var stripped []corev1.Volume
	for i := range volumes {
		if image := volumes[i].Image; image != nil {
			stripped = append(stripped, corev1.Volume{Name: volumes[i].Name, VolumeSource: corev1.VolumeSource{Image: image}})
		}
	}
	return stripped
}

// stripStatuses keeps only the statuses of containers whose image the kubelet cannot pull.
func stripStatuses(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	var stripped []corev1.ContainerStatus
	for i := range statuses {
		if waiting := statuses[i].State.Waiting; waiting != nil && podimage.PullFails(waiting.Reason) {
			stripped = append(stripped, corev1.ContainerStatus{
				Name: statuses[i].Name, Image: statuses[i].Image, State: corev1.ContainerState{Waiting: waiting},
			})
		}
	}
	return stripped
}
