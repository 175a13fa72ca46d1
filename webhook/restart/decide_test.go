package restart

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// epoch is the moment at which the tests' clocks begin.
func epoch() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }

// simulate restarts whenever the pace allows it and a build is waiting, and returns when it restarts.
func simulate(builds []time.Duration) []time.Duration {
	var p pace
	var restarts []time.Duration
	for _, built := range builds {
		if n := len(restarts); n > 0 && restarts[n-1] >= built {
			continue // the last restart has this build
		}
		if built > p.last.Sub(epoch())+p.hold {
			p.current = p.last.Add(p.hold) // the controller has checked it then
		}
		at := built + p.wait(epoch().Add(built), time.Time{})
		restarts = append(restarts, at)
		p = p.next(epoch().Add(at))
	}
	return restarts
}

// every returns n times with the given distance.
func every(n int, distance time.Duration) []time.Duration {
	times := make([]time.Duration, n)
	for i := range times {
		times[i] = time.Duration(i) * distance
	}
	return times
}

func TestPace_LimitsRestartsOfASeries(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		builds []time.Duration
		want   string
	}{
		"one build":                   {every(1, 0), "[0s]"},
		"two builds":                  {every(2, time.Second), "[0s 4s]"},
		"50 builds in a minute":       {every(50, 1200*time.Millisecond), "[0s 4s 16s 52s 1m28s]"},
		"a build every 5 s":           {every(5, 5*time.Second), "[0s 5s 17s 53s]"},
		"a build every 10 s":          {every(5, 10*time.Second), "[0s 10s 20s 30s 40s]"},
		"a series, and a later build": {append(every(50, 1200*time.Millisecond), 200*time.Second), "[0s 4s 16s 52s 1m28s 3m20s]"},
	} {
		if got := fmt.Sprint(simulate(tt.builds)); got != tt.want {
			t.Errorf("%s: restarts at %s, want %s", name, got, tt.want)
		}
	}
}

func TestPace_CountsRestartsByOthers(t *testing.T) {
	t.Parallel()
	now := epoch()
	ours := pace{last: now.Add(-time.Minute), hold: longestHold}
	justNow := pace{last: now.Add(-300 * time.Millisecond), hold: 12 * time.Second}
	for name, tt := range map[string]struct {
		pace        pace
		restartedAt time.Time
		want        time.Duration
	}{
		"no restart":                         {pace{}, time.Time{}, 0},
		"kubectl rollout restart just now":   {pace{}, now.Add(-time.Second), firstHold - time.Second},
		"the same after a series of builds":  {ours, now.Add(-time.Second), firstHold - time.Second},
		"a restart long ago":                 {ours, now.Add(-time.Hour), 0},
		"a restart in the future":            {pace{}, now.Add(time.Hour), firstHold},
		"ours, which the template truncates": {justNow, now.Add(-time.Second), 11700 * time.Millisecond},
	} {
		if got := tt.pace.wait(now, tt.restartedAt); got != tt.want {
			t.Errorf("%s: wait = %s, want %s", name, got, tt.want)
		}
	}
}

func TestRollout_DelaysUnlessItCannotComplete(t *testing.T) {
	t.Parallel()
	now := epoch()
	for name, tt := range map[string]struct {
		rollout rollout
		want    time.Duration
	}{
		"complete":                     {rollout{complete: true, newest: now}, 0},
		"just begun, without a pod":    {rollout{}, emptyPoll},
		"with a new pod":               {rollout{newest: now.Add(-time.Second)}, shortestPoll},
		"with a pod that takes long":   {rollout{newest: now.Add(-20 * time.Second)}, 5 * time.Second},
		"with a pod that never starts": {rollout{newest: now.Add(-stuckAfter)}, 0},
		"with a failing pod":           {rollout{newest: now, failing: true}, 0},
	} {
		if got := tt.rollout.wait(now); got != tt.want {
			t.Errorf("%s: wait = %s, want %s", name, got, tt.want)
		}
	}
}

func TestFails_KnowsContainersThatCannotStart(t *testing.T) {
	t.Parallel()
	waiting := func(reason string) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
	}
	for name, tt := range map[string]struct {
		status corev1.ContainerStatus
		want   bool
	}{
		"creating":             {waiting("ContainerCreating"), false},
		"waiting for an init":  {waiting("PodInitializing"), false},
		"not ready yet":        {corev1.ContainerStatus{}, false},
		"ready after a crash":  {corev1.ContainerStatus{RestartCount: 1, Ready: true}, false},
		"crashing":             {waiting("CrashLoopBackOff"), true},
		"running between them": {corev1.ContainerStatus{RestartCount: 1}, true},
		"without an image":     {waiting("ImagePullBackOff"), true},
	} {
		container := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{tt.status}}}
		init := &corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{tt.status}}}
		if got := fails(container); got != tt.want || fails(init) != tt.want {
			t.Errorf("%s: fails = %v, and %v for an init container, want %v", name, got, fails(init), tt.want)
		}
	}
}

func TestObstacle_NamesWhatPreventsARestart(t *testing.T) {
	t.Parallel()
	deployment := func(change func(*appsv1.Deployment)) *workload {
		d := &appsv1.Deployment{}
		change(d)
		return newWorkload(Deployment, d)
	}
	for want, w := range map[string]*workload{
		"":             deployment(func(*appsv1.Deployment) {}),
		"it is paused": deployment(func(d *appsv1.Deployment) { d.Spec.Paused = true }),
		"Rollout web owns it": deployment(func(d *appsv1.Deployment) {
			d.OwnerReferences = []metav1.OwnerReference{{Kind: "Rollout", Name: "web", Controller: new(true)}}
		}),
		"it is being deleted": deployment(func(d *appsv1.Deployment) { d.DeletionTimestamp = &metav1.Time{Time: epoch()} }),
		"its update strategy is OnDelete, so a restart replaces no pod; delete the pods": newWorkload(StatefulSet, &appsv1.StatefulSet{
			Spec: appsv1.StatefulSetSpec{UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}},
		}),
	} {
		if got := obstacle(w); got != want {
			t.Errorf("obstacle = %q, want %q", got, want)
		}
	}
}

func TestOptedIn_PrefersTheWorkloadsAnnotation(t *testing.T) {
	t.Parallel()
	mark := func(value string) map[string]string { return map[string]string{config.RestartAnnotation: value} }
	for _, tt := range []struct {
		workload, namespace map[string]string
		want                bool
	}{
		{nil, nil, false},
		{mark("true"), nil, true},
		{nil, mark("true"), true},
		{mark("false"), mark("true"), false},
		{mark("true"), mark("false"), true},
		{mark("yes"), mark("true"), false},
	} {
		if got := optedIn(tt.workload, tt.namespace); got != tt.want {
			t.Errorf("optedIn(%v, %v) = %v, want %v", tt.workload, tt.namespace, got, tt.want)
		}
	}
}

func TestNewWorkload_AgreesWithKubectlRolloutStatus(t *testing.T) {
	t.Parallel()
	two := new(int32(2))
	for name, tt := range map[string]struct {
		workload          *workload
		observed, updated bool
	}{
		"a Deployment with an old pod": {newWorkload(Deployment, &appsv1.Deployment{
			Spec: appsv1.DeploymentSpec{Replicas: two}, Status: appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 2, AvailableReplicas: 2},
		}), true, false},
		"a complete Deployment": {newWorkload(Deployment, &appsv1.Deployment{
			Spec: appsv1.DeploymentSpec{Replicas: two}, Status: appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2},
		}), true, true},
		"a Deployment with a new template": {newWorkload(Deployment, &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Generation: 2}, Spec: appsv1.DeploymentSpec{Replicas: two},
			Status: appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2},
		}), false, true},
		"a StatefulSet with a partition": {newWorkload(StatefulSet, &appsv1.StatefulSet{
			Spec: appsv1.StatefulSetSpec{Replicas: two, UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
				RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(1))},
			}},
			Status: appsv1.StatefulSetStatus{UpdatedReplicas: 1, ReadyReplicas: 2},
		}), true, true},
		"a StatefulSet with an old pod": {newWorkload(StatefulSet, &appsv1.StatefulSet{
			Spec: appsv1.StatefulSetSpec{Replicas: two}, Status: appsv1.StatefulSetStatus{UpdatedReplicas: 1, ReadyReplicas: 2},
		}), true, false},
		"a DaemonSet with a pod that is not available": {newWorkload(DaemonSet, &appsv1.DaemonSet{
			Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2, NumberAvailable: 1},
		}), true, false},
	} {
		if w := tt.workload; w.observed != tt.observed || w.updated != tt.updated {
			t.Errorf("%s: observed %v, updated %v, want %v, %v", name, w.observed, w.updated, tt.observed, tt.updated)
		}
	}
}

func TestRequest_NamesTheWorkloadAsKubectlDoes(t *testing.T) {
	t.Parallel()
	request := Request{Kind: StatefulSet}
	request.Namespace, request.Name = "default", "db"
	if got := request.String(); !strings.HasPrefix(got, "statefulset/db in namespace default") {
		t.Errorf("String = %q", got)
	}
}
