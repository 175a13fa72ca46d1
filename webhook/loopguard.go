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

// guarded is how long an owner is left alone after the last pod that it created.
const guarded = time.Hour

// LoopGuard finds owners that recreate a rewritten pod over and over. Operators are known that compare a pod's image with
// the one they asked for, and delete the pod where it differs: rewriting it again would go on for ever.
//
// Only a pod that comes back under its own name, from the same template, counts: a ReplicaSet or a Job never uses a name
// twice, whatever it scales to.
type LoopGuard struct {
	mu      sync.Mutex
	created map[incarnation][]time.Time
	stopped map[types.UID]time.Time // owners, by when they are let go
}

// incarnation is what the pods of a loop have in common.
type incarnation struct {
	owner    types.UID
	pod      string
	template string // the revision of its owner's template, where the owner says it
}

// NewLoopGuard returns a guard that has seen nothing.
func NewLoopGuard() *LoopGuard {
	return &LoopGuard{created: map[incarnation][]time.Time{}, stopped: map[types.UID]time.Time{}}
}

// Looping says whether the pod's owner has recreated it, or another pod, more often than the rules allow. It is then left
// alone until it has created nothing for an hour.
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
	g.stopped[of.owner] = now.Add(guarded)
	return true
}

// Created notes a pod that came to be. It counts if it is rewritten: an admission is no pod yet, as a quota, a policy or
// another webhook may refuse it.
func (g *LoopGuard) Created(pod *podimage.Pod) {
	of, ok := incarnationOf(pod.Pod)
	if !ok || !pod.Rewritten() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.created[of] = append(g.created[of], time.Now())
}

// forget forgets what is too old to count.
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

// incarnationOf returns what the pod has in common with those before it. It returns false for a pod that is none's, and
// for one whose name is yet to be made up.
func incarnationOf(pod *corev1.Pod) (incarnation, bool) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || pod.Name == "" {
		return incarnation{}, false
	}
	revision := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	return incarnation{owner: owner.UID, pod: pod.Name, template: revision}, true
}
