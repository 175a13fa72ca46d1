package delivery

import (
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook/podimage"
)

// The reasons in our Events.
const (
	pushBegun    = "ImagePushing"
	pushDone     = "ImagePushed"
	pushFailed   = "ImagePushFailed"
	ungateFailed = "UngateFailed"
	healed       = "ImageHealed"
	healFailed   = "ImageHealFailed"
)

// The actions in our Events. Retrying and giving up are different actions, because Kubernetes merges Events whose field, reason
// and action are the same, and then keeps only the first Event's text.
const (
	push   = "Push"
	giveUp = "GiveUp"
	heal   = "Heal"
	// deliver is the action in Events about broken promises.
	deliver = "Deliver"
	// pull is the action in Events about images that the kubelet cannot pull.
	pull = "Pull"
)

// event writes an Event about one of the pod's fields.
func (r *Reconciler) event(pod *corev1.Pod, field podimage.Waiting, reason, action, note string, args ...any) {
	kind := corev1.EventTypeNormal
	if reason == pushFailed {
		kind = corev1.EventTypeWarning
	}
	r.Events.Eventf(reference(pod, field.Path), nil, kind, reason, action, note, args...)
}

// reference returns the object that an Event is about: the pod's field at path, or the whole pod if path is "".
func reference(pod *corev1.Pod, path string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, FieldPath: path,
	}
}
