package webhook

import (
	"maps"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook/podimage"
)

// guardPeriod is how long an owner's pods are left unchanged after the owner was last found looping.
const guardPeriod = time.Hour

// LoopGuard detects owners that keep recreating a rewritten pod. Some operators compare a pod's image with the one they specified
// and delete the pod if the two differ. If the webhook rewrote every new pod, this loop would never end.
//
// Only a pod recreated under the same name from the same template is counted. A ReplicaSet or a Job never reuses a name, so its
// pods are not affected.
type LoopGuard struct {
	mu      sync.Mutex
	created map[incarnation][]time.Time
	stopped map[types.UID]time.Time // looping owners, and when their pods are rewritten again
}

// incarnation identifies the pods that belong to one loop.
type incarnation struct {
	owner    types.UID
	pod      string
	template string // the revision of the owner's pod template, if the owner records it
}

// NewLoopGuard returns a guard that has seen no pods.
func NewLoopGuard() *LoopGuard {
	return &LoopGuard{created: map[incarnation][]time.Time{}, stopped: map[types.UID]time.Time{}}
}

// Looping reports whether the pod's owner has recreated this or another pod more often than the rules allow. Once it has returned
// true for an owner, it keeps doing so until the owner has created no pod for an hour.
func (g *LoopGuard) Looping(pod *corev1.Pod, limits rules.LoopGuard) bool {
	of, ok := incarnationOf(pod)
	if !ok || limits.Recreations == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.forget(now, limits)
	if _, stopped := g.stopped[of.owner]; !stopped && len(g.created[of]) <= limits.Recreations {
		return false
	}
	g.stopped[of.owner] = now.Add(guardPeriod)
	return true
}

// Created counts a newly created pod if it was rewritten. Admission requests are not counted, because a quota, a policy or
// another webhook may still refuse the pod.
func (g *LoopGuard) Created(pod *podimage.Pod) {
	of, ok := incarnationOf(pod.Pod)
	if !ok || !pod.Rewritten() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.created[of] = append(g.created[of], time.Now())
}

// forget drops creations and looping owners that are too old to matter.
func (g *LoopGuard) forget(now time.Time, limits rules.LoopGuard) {
	maps.DeleteFunc(g.stopped, func(_ types.UID, until time.Time) bool { return now.After(until) })
	for of, times := range g.created {
		times = slices.DeleteFunc(times, func(at time.Time) bool { return now.Sub(at) > limits.Within.Duration })
		if len(times) == 0 {
			delete(g.created, of)
			continue
		}
		g.created[of] = times
	}
}

// incarnationOf returns the incarnation that the pod belongs to. It returns false for a pod without a controller or without a
// name.
func incarnationOf(pod *corev1.Pod) (incarnation, bool) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || pod.Name == "" {
		return incarnation{}, false
	}
	revision := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	return incarnation{owner: owner.UID, pod: pod.Name, template: revision}, true
}
