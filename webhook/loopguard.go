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

// guardPeriod is how long an owner is left alone after it was last found looping.
const guardPeriod = time.Hour

// LoopGuard detects owners that recreate a rewritten pod over and over. Some operators compare a pod's image with the one that
// they asked for and delete the pod if they differ: rewriting the pod again would never end.
//
// Only a pod counts that comes back under its own name from the same template: a ReplicaSet or a Job never reuses a name.
type LoopGuard struct {
	mu      sync.Mutex
	created map[incarnation][]time.Time
	stopped map[types.UID]time.Time // looping owners, and when they are rewritten again
}

// incarnation identifies the pods of one loop.
type incarnation struct {
	owner    types.UID
	pod      string
	template string // the revision of its owner's template, if the owner records it
}

// NewLoopGuard returns a guard without history.
func NewLoopGuard() *LoopGuard {
	return &LoopGuard{created: map[incarnation][]time.Time{}, stopped: map[types.UID]time.Time{}}
}

// Looping reports whether the pod's owner has recreated this or another pod more often than the rules allow. It stays true for
// an hour after the owner's last such pod.
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

// Created counts a pod that was created, if it is rewritten. An admission request does not count: a quota, a policy or another
// webhook may refuse the pod.
func (g *LoopGuard) Created(pod *podimage.Pod) {
	of, ok := incarnationOf(pod.Pod)
	if !ok || !pod.Rewritten() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.created[of] = append(g.created[of], time.Now())
}

// forget drops creations and owners that are too old to count.
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

// incarnationOf identifies the loop of the pod. It returns false for a pod without a controller or without a name.
func incarnationOf(pod *corev1.Pod) (incarnation, bool) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || pod.Name == "" {
		return incarnation{}, false
	}
	revision := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	return incarnation{owner: owner.UID, pod: pod.Name, template: revision}, true
}
