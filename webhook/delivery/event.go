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

// The actions of our Events: what is done about a failure is told apart, as Events of the same field, reason and action
// are shown as one, in the words of the first.
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

// reference returns what an Event about a field of the pod, or "" for all of it, regards.
func reference(pod *corev1.Pod, path string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, FieldPath: path,
	}
}
