package livepod

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/webhook/podimage"
)

const (
	oneDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	twoDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func TestDigestOf_IsWhatTheContainerRuns(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		image   string
		state   State
		imageID string
		want    string
	}{
		"by tag":                                   {"a:1", Running, "docker.io/library/a@" + oneDigest, oneDigest},
		"from kind load":                           {"a:1", Running, oneDigest, oneDigest},
		"pinned":                                   {"localhost:5001/a:1@" + oneDigest, Running, "localhost:5001/a@" + oneDigest, oneDigest},
		"pinned, known under another name":         {"localhost:5001/a:1@" + oneDigest, Running, "docker.io/x/import@" + twoDigest, oneDigest},
		"pinned since the container has started":   {"localhost:5001/a:1@" + oneDigest, Running, "localhost:5001/a@" + twoDigest, twoDigest},
		"pinned, not started":                      {"localhost:5001/a:1@" + oneDigest, NotStarted, "", oneDigest},
		"pinned, waits after an earlier container": {"localhost:5001/a:1@" + oneDigest, Waiting, "localhost:5001/a@" + twoDigest, oneDigest},
		"by tag, not started":                      {"a:1", NotStarted, "", ""},
	} {
		if got := digestOf(test.image, test.state, &corev1.ContainerStatus{ImageID: test.imageID}); got != test.want {
			t.Errorf("%s: digestOf(%q) = %q, want %q", name, test.image, got, test.want)
		}
	}
}

func TestFailureOf_PrefersTheEventWithTheCause(t *testing.T) {
	t.Parallel()
	const image, cause = "a:1", `Failed to pull image "a:1": not found`
	field := podimage.Field{Path: "spec.containers{app}", Image: image}
	volume := podimage.Field{Path: "spec.volumes{data}", Image: image}
	waits := func(reason string) *corev1.ContainerStatus {
		return &corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "back-off"}}}
	}
	event := []corev1.Event{{Reason: "Failed", Message: `Failed to pull image "a:10": other`}, {Reason: "Failed", Message: cause}}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "other", VolumeSource: corev1.VolumeSource{
		Image: &corev1.ImageVolumeSource{Reference: "b:1"},
	}}}}}
	ofVolume := waits("ImagePullBackOff")
	ofVolume.State.Waiting.Message = `Back-off pulling image "b:1"`
	for name, test := range map[string]struct {
		field  podimage.Field
		state  State
		status *corev1.ContainerStatus
		events []corev1.Event
		want   *PullFailure
	}{
		"back-off, with an Event":    {field, Waiting, waits("ImagePullBackOff"), event, &PullFailure{"ImagePullBackOff", cause}},
		"back-off, without an Event": {field, Waiting, waits("ImagePullBackOff"), nil, &PullFailure{"ImagePullBackOff", "back-off"}},
		"an invalid name":            {field, Waiting, waits("InvalidImageName"), event, &PullFailure{"InvalidImageName", "back-off"}},
		"another volume's image":     {field, Waiting, ofVolume, event, nil},
		"a crash loop":               {field, Waiting, waits("CrashLoopBackOff"), event, nil},
		"a volume":                   {volume, NotStarted, nil, event, &PullFailure{"Failed", cause}},
		"a volume of a running pod":  {volume, Running, nil, event, nil},
	} {
		if diff := cmp.Diff(test.want, failureOf(pod, test.field, test.state, test.status, test.events)); diff != "" {
			t.Errorf("%s: failureOf (-want +got):\n%s", name, diff)
		}
	}
}

func TestLastSeen_KnowsAllFormsOfEvents(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	for name, event := range map[string]corev1.Event{
		"of the kubelet": {LastTimestamp: metav1.NewTime(at)},
		"new":            {EventTime: metav1.NewMicroTime(at)},
		"a series":       {EventTime: metav1.NewMicroTime(at.Add(-time.Hour)), Series: &corev1.EventSeries{LastObservedTime: metav1.NewMicroTime(at)}},
	} {
		if got := lastSeen(&event); !got.Equal(at) {
			t.Errorf("%s: lastSeen = %v, want %v", name, got, at)
		}
	}
}
