package restart

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// firstHold is the least time between a restart and the next one. If the workload has not run the newest build for that time in
	// between, the builds are a series, and the time is multiplied by holdFactor, up to longestHold. So 50 builds in a minute make 5
	// restarts.
	firstHold   = 4 * time.Second
	holdFactor  = 3
	longestHold = 36 * time.Second
	// stuckAfter is how long a rollout may create no pod before it no longer delays a restart. Perhaps the newer build repairs it.
	stuckAfter = 30 * time.Second
	// shortestPoll is the least time between two checks whether a rollout is complete. emptyPoll is the time if it has no pods yet.
	shortestPoll, emptyPoll = time.Second, 5 * time.Second
)

// pace remembers a workload's last restart, and how long the next one must wait after it.
type pace struct {
	last    time.Time
	hold    time.Duration
	current time.Time // since when the workload has run the newest build; the zero time if it has not since the last restart
}

// next returns the pace after a restart.
func (p pace) next(now time.Time) pace {
	if p.hold == 0 || !p.current.IsZero() && now.Sub(p.current) >= firstHold {
		return pace{last: now, hold: firstHold}
	}
	return pace{last: now, hold: min(p.hold*holdFactor, longestHold)}
}

// wait returns how long the next restart must wait. restartedAt is the restart that the workload's template records.
func (p pace) wait(now, restartedAt time.Time) time.Duration {
	hold, last := max(p.hold, firstHold), p.last
	if restartedAt.After(last) {
		hold, last = firstHold, restartedAt // by someone else, or by the webhook before it was restarted
	}
	return min(max(last.Add(hold).Sub(now), 0), hold) // not longer, although the clocks may differ
}

// rollout describes a workload's rollout and the pods of the current template.
type rollout struct {
	complete bool
	failing  bool      // whether a pod cannot start or keeps crashing
	newest   time.Time // when the newest pod was created; the zero time if there is none
}

// rolloutOf returns the workload's rollout.
func rolloutOf(w *workload, pods []corev1.Pod) rollout {
	r := rollout{complete: w.observed && w.updated}
	for i := range pods {
		r.failing = r.failing || fails(&pods[i])
		if created := pods[i].CreationTimestamp.Time; created.After(r.newest) {
			r.newest = created
		}
	}
	return r
}

// wait returns how long to wait before checking again whether the rollout is complete, or 0 if the workload may be restarted now. A
// rollout with a pod that fails, and one that is stuck, may never be complete.
func (r rollout) wait(now time.Time) time.Duration {
	age := now.Sub(r.newest)
	switch {
	case r.complete || r.failing:
		return 0
	case r.newest.IsZero():
		return emptyPoll
	case age >= stuckAfter:
		return 0
	}
	return max(age/4, shortestPoll)
}

// fails reports whether a container of the pod cannot start, or has ended and is not ready again.
func fails(pod *corev1.Pod) bool {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			waiting := statuses[i].State.Waiting
			starts := waiting == nil || waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing"
			if !starts || statuses[i].RestartCount > 0 && !statuses[i].Ready {
				return true
			}
		}
	}
	return false
}

// obstacle returns why the workload is never restarted in its present state, or "" if it may be.
func obstacle(w *workload) string {
	owner := metav1.GetControllerOf(w)
	switch {
	case owner != nil:
		return fmt.Sprintf("%s %s owns it", owner.Kind, owner.Name)
	case w.paused:
		return "it is paused"
	case w.onDelete:
		return "its update strategy is OnDelete, so a restart replaces no pod; delete the pods"
	case w.GetDeletionTimestamp() != nil:
		return "it is being deleted"
	}
	return ""
}
