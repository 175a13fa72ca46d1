package watch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/config"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

const (
	registryHost = "localhost:5001"
	image        = "example/app:local"
	first        = digest.Digest("sha256:1111111111111111111111111111111111111111111111111111111111111111")
	second       = digest.Digest("sha256:2222222222222222222222222222222222222222222222222222222222222222")
	firstID      = "sha256:a111111111111111111111111111111111111111111111111111111111111111"
	secondID     = "sha256:a222222222222222222222222222222222222222222222222222222222222222"
)

// began is when the pods were created.
var began = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// podWith returns a pod named app that is scheduled and runs the first build. change may change it.
func podWith(change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "app", UID: "app", CreationTimestamp: metav1.NewTime(began),
			Annotations: map[string]string{config.OriginalsAnnotation: `{"spec.containers{app}":"` + image + `"}`},
		},
		Spec: corev1.PodSpec{
			NodeName: "node", Containers: []corev1.Container{{Name: "app", Image: registryHost + "/" + image + "@" + first.String()}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "app", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
			}},
		},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

// waiting returns a change that makes the pod's container wait for that reason.
func waiting(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "app", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
		}}
	}
}

func TestState_TellsHowFarAPodIs(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		state  PodState
		detail string
	}{
		"ready":     {nil, Running, ""},
		"not ready": {func(pod *corev1.Pod) { pod.Status.ContainerStatuses[0].Ready = false }, NotReady, ""},
		"deleted":   {func(pod *corev1.Pod) { pod.DeletionTimestamp = &now }, Stopping, ""},
		"evicted": {func(pod *corev1.Pod) {
			pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted"
		}, Ended, "Failed Evicted"},
		"gated": {func(pod *corev1.Pod) {
			pod.Spec.NodeName, pod.Spec.SchedulingGates = "", []corev1.PodSchedulingGate{{Name: config.Gate}}
		}, WaitingForPush, ""},
		"without a node": {func(pod *corev1.Pod) {
			pod.Spec.NodeName = ""
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes"}}
		}, Pending, "0/1 nodes"},
		"without a status":     {func(pod *corev1.Pod) { pod.Status = corev1.PodStatus{} }, Starting, ""},
		"being created":        {waiting("ContainerCreating", ""), Starting, ""},
		"not pulled":           {waiting("ImagePullBackOff", "no such host"), CannotPull, "no such host"},
		"not pulled, no cause": {waiting("ErrImagePull", ""), CannotPull, "ErrImagePull"},
		"not created":          {waiting("CreateContainerConfigError", "no secret"), Crashing, "CreateContainerConfigError"},
		"crashing": {func(pod *corev1.Pod) {
			waiting("CrashLoopBackOff", "")(pod)
			pod.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "OOMKilled"}
		}, Crashing, "CrashLoopBackOff (OOMKilled)"},
	} {
		m := newModel(registryHost)
		m.changed(podWith(test.change))
		want := []Pod{{
			Namespace: "default", Name: "app", Image: image, Digest: first.String(), State: test.state, Detail: test.detail, Created: began,
		}}
		if diff := cmp.Diff(want, m.state().Pods); diff != "" {
			t.Errorf("pod that is %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestState_ListsHostImagesAndFailedPulls(t *testing.T) {
	t.Parallel()
	m := newModel(registryHost)
	m.changed(podWith(func(pod *corev1.Pod) {
		pod.Spec.InitContainers = []corev1.Container{{Name: "init", Image: registryHost + "/" + image + "@" + first.String()}}
		pod.Annotations[config.OriginalsAnnotation] = `{"spec.containers{app}":"` + image + `","spec.initContainers{init}":"` + image + `"}`
		pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
			Name: "init", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}},
		}}
		for name, waits := range map[string]*corev1.ContainerStateWaiting{
			"public": nil, "typo": {Reason: "ErrImagePull"}, "own": nil,
		} {
			reference := map[string]string{"public": "nginx:1", "typo": "example/ap:local", "own": registryHost + "/other:1"}[name]
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name, Image: reference})
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
				Name: name, State: corev1.ContainerState{Waiting: waits},
			})
		}
		pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: registryHost + "/data:1"},
		}}}
	}))
	got := map[string]PodState{}
	for _, pod := range m.state().Pods {
		got[pod.Image] = pod.State
	}
	want := map[string]PodState{
		image: Running, "example/ap:local": CannotPull, registryHost + "/other:1": Starting, registryHost + "/data:1": Running,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images of the pod (-want +got):\n%s", diff)
	}
	m.deleted(podWith(nil))
	if pods := m.state().Pods; len(pods) != 0 {
		t.Errorf("pods after a deletion = %v, want none", pods)
	}
}

// event returns an event about the image.
func event(kind pusher.EventKind, id string, d digest.Digest) pusher.Event {
	return pusher.Event{Kind: kind, Name: image, ImageID: digest.Digest(id), Digest: d, Time: began}
}

func TestState_TellsWhichPodsAreStale(t *testing.T) {
	t.Parallel()
	// The pod runs the first build.
	for name, test := range map[string]struct {
		learn func(*model)
		want  PodState
	}{
		"nothing is known":      {func(*model) {}, Running},
		"the host has no image": {func(m *model) { m.lookedUp(image, rewrite.Presence{Served: first.String()}) }, Running},
		"the host has this build": {func(m *model) {
			m.lookedUp(image, rewrite.Presence{OnHost: true, ImageID: firstID, Served: first.String(), Digest: first.String()})
		}, Running},
		"the host has another build, which the registry has": {func(m *model) {
			m.lookedUp(image, rewrite.Presence{OnHost: true, ImageID: secondID, Served: second.String(), Digest: second.String()})
		}, Stale},
		"the host has another build, which the registry does not have": {func(m *model) {
			m.lookedUp(image, rewrite.Presence{OnHost: true, ImageID: secondID, Served: first.String()})
		}, Stale},
		"the registry serves neither build": {func(m *model) {
			m.lookedUp(image, rewrite.Presence{OnHost: true, ImageID: firstID, Served: second.String()})
		}, Running},
		"the tag has moved to another build": {func(m *model) {
			m.happened(event(pusher.EventAvailable, firstID, first))
			m.happened(event(pusher.EventBuilt, secondID, ""))
		}, Stale},
		"the tag has moved there and back": {func(m *model) {
			m.happened(event(pusher.EventAvailable, firstID, first))
			m.happened(event(pusher.EventBuilt, secondID, ""))
			m.happened(event(pusher.EventAvailable, secondID, second))
			m.happened(event(pusher.EventBuilt, firstID, ""))
		}, Running},
		"this build was promised, and the registry still serves the one before": {func(m *model) {
			m.happened(event(pusher.EventAvailable, firstID, first))
			m.lookedUp(image, rewrite.Presence{OnHost: true, ImageID: firstID, Served: second.String()})
		}, Running},
		"a build since the lookup": {func(m *model) {
			m.lookedUp(image, rewrite.Presence{OnHost: true, ImageID: secondID, Served: second.String(), Digest: second.String()})
			m.happened(event(pusher.EventBuilt, firstID, ""))
		}, Running},
	} {
		m := newModel(registryHost)
		m.changed(podWith(nil))
		test.learn(m)
		if got := m.state().Pods[0].State; got != test.want {
			t.Errorf("if %s, the pod is %s, want %s", name, got, test.want)
		}
	}
}

func TestState_ShowsThePushThatAPodWaitsFor(t *testing.T) {
	t.Parallel()
	m := newModel(registryHost)
	m.changed(podWith(func(pod *corev1.Pod) {
		pod.Spec.NodeName, pod.Spec.SchedulingGates = "", []corev1.PodSchedulingGate{{Name: config.Gate}}
		pod.Spec.Containers[0].Image = registryHost + "/" + image
	}))
	pushing := event(pusher.EventPushing, firstID, "")
	pushing.Progress = &push.Progress{Bytes: 43, Total: 100}
	m.happened(pushing)
	if got := m.state().Pods[0].Progress; got != pushing.Progress {
		t.Errorf("progress of the pod = %v, want %v", got, pushing.Progress)
	}
	m.reconnected() // the end of the push may have been missed
	state := m.state()
	if len(state.Images) != 0 || state.Pods[0].Progress != nil {
		t.Errorf("after a lost connection, the state is %+v, want no push", state)
	}
}

// inRollout returns a pod of the Deployment app that was made from the template with that hash.
func inRollout(name, hash string, change func(*corev1.Pod)) *corev1.Pod {
	pod := podWith(change)
	owner := true
	pod.Name, pod.UID, pod.Labels = name, types.UID(name), map[string]string{"pod-template-hash": hash}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "app-" + hash, Controller: &owner}}
	return pod
}

func TestState_MarksThePodsOfARollout(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	unready := func(pod *corev1.Pod) {
		pod.Status.Conditions, pod.CreationTimestamp = nil, metav1.NewTime(began.Add(time.Minute))
	}
	m := newModel(registryHost)
	m.changed(inRollout("old-1", "1", nil))
	m.changed(inRollout("old-2", "1", func(pod *corev1.Pod) { pod.DeletionTimestamp = &now }))
	if m.state().Pods[1].Rollout {
		t.Error("a deleted pod is marked without a new template")
	}
	m.changed(inRollout("new", "2", unready))
	got := map[string]bool{}
	for _, pod := range m.state().Pods {
		got[pod.Name] = pod.Rollout
	}
	if diff := cmp.Diff(map[string]bool{"new": true, "old-1": false, "old-2": true}, got); diff != "" {
		t.Errorf("pods of a rollout (-want +got):\n%s", diff)
	}
}

func TestDue_ListsEachImageOnce(t *testing.T) {
	t.Parallel()
	m := newModel(registryHost)
	m.changed(podWith(nil))
	want := map[string]string{image: image}
	for _, step := range []struct {
		when string
		do   func()
		want map[string]string
	}{
		{"at first", func() {}, want},
		{"afterwards", func() {}, map[string]string{}},
		{"during a push", func() { m.happened(event(pusher.EventPushing, firstID, "")) }, map[string]string{}},
		{"after a build", func() { m.happened(event(pusher.EventBuilt, secondID, "")) }, want},
		{"after the connection was made again", m.reconnected, want},
	} {
		step.do()
		if diff := cmp.Diff(step.want, m.due()); diff != "" {
			t.Errorf("images to look up %s (-want +got):\n%s", step.when, diff)
		}
	}
}

func TestCanonical_IsTheNameOnTheHost(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"docker.io/example/app:local": image, registryHost + "/" + image: image, "nginx": "nginx:latest", "Not/Valid": "Not/Valid",
	} {
		if got := canonical(given, registryHost); got != want {
			t.Errorf("canonical(%q) = %q, want %q", given, got, want)
		}
	}
}
