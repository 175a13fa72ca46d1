package delivery

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/webhook/podimage"
)

// Wants reports whether the controller must deliver images of the pod or heal it.
func Wants(pod *podimage.Pod) bool { return wantsDelivery(pod) || wantsHeal(pod) }

// wantsDelivery reports whether the pod is gated, or waits for a push on a node: a pod that is created with a node cannot be
// gated.
func wantsDelivery(pod *podimage.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodPending {
		return false
	}
	return podimage.Gated(pod.Pod) || pod.Spec.NodeName != "" && len(pod.Waiting()) > 0
}

// wantsHeal reports whether the kubelet cannot pull an image of the pod, and the pod's namespace is eligible. A running pod can
// have such a container too, if the container was updated or its image was removed from the node.
func wantsHeal(pod *podimage.Pod) bool {
	active := pod.Status.Phase == corev1.PodPending || pod.Status.Phase == corev1.PodRunning
	return pod.DeletionTimestamp == nil && active && eligible(pod) && len(pod.Unpullable()) > 0
}

// imagesChanged reports whether an update changed an image of the pod.
func imagesChanged(pod, old *corev1.Pod) bool { return len(podimage.Updated(pod, old)) > 0 }

// Strip reduces a pod in the cache to what Wants, the journal and the loop guard read. It is a cache.TransformFunc and returns
// other objects unchanged.
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

// stripLabels keeps the revision of the owner's template.
func stripLabels(labels map[string]string) map[string]string {
	revision, ok := labels[appsv1.ControllerRevisionHashLabelKey]
	if !ok {
		return nil
	}
	return map[string]string{appsv1.ControllerRevisionHashLabelKey: revision}
}

// stripContainers keeps names and images.
func stripContainers(containers []corev1.Container) []corev1.Container {
	stripped := make([]corev1.Container, len(containers))
	for i := range containers {
		stripped[i] = corev1.Container{Name: containers[i].Name, Image: containers[i].Image}
	}
	return stripped
}

// stripVolumes keeps image volumes.
func stripVolumes(volumes []corev1.Volume) []corev1.Volume {
	var stripped []corev1.Volume
	for i := range volumes {
		if image := volumes[i].Image; image != nil {
			stripped = append(stripped, corev1.Volume{Name: volumes[i].Name, VolumeSource: corev1.VolumeSource{Image: image}})
		}
	}
	return stripped
}

// stripStatuses keeps the containers whose image the kubelet cannot pull.
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
