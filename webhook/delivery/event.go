package delivery

import (
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook/podimage"
)

// The reasons of our Events.
const (
	pushBegun    = "ImagePushing"
	pushDone     = "ImagePushed"
	pushFailed   = "ImagePushFailed"
	ungateFailed = "UngateFailed"
	healed       = "ImageHealed"
	healFailed   = "ImageHealFailed"
)

// The actions of our Events. A retry and giving up are different actions: Kubernetes merges Events with the same field, reason
// and action, and keeps the first text.
const (
	push   = "Push"
	giveUp = "GiveUp"
	heal   = "Heal"
)

// event writes an Event about one field of the pod.
func (r *Reconciler) event(pod *corev1.Pod, field podimage.Waiting, reason, action, note string, args ...any) {
	kind := corev1.EventTypeNormal
	if reason == pushFailed {
		kind = corev1.EventTypeWarning
	}
	r.Events.Eventf(reference(pod, field.Path), nil, kind, reason, action, note, args...)
}

// reference returns the object that an Event regards: a field of the pod, or the whole pod for "".
func reference(pod *corev1.Pod, path string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, FieldPath: path,
	}
}
