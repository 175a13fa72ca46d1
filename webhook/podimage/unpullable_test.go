package podimage_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/webhook/podimage"
)

// waiting returns a pod with a node and one waiting container, whose recorded original image is a:1.
func waiting(phase corev1.PodPhase, image, status, reason, message string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{UID: "uid", Annotations: map[string]string{
			config.OriginalsAnnotation: `{"spec.containers{app}":"a:1"}`,
		}},
		Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "app", Image: image}}},
		Status: corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "app", Image: status,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}},
	}
}

func TestUnpullable_ReturnsOriginalsOfCurrentFailures(t *testing.T) {
	t.Parallel()
	const image = "localhost:5001/a:1"
	for name, tt := range map[string]struct {
		status, reason, message string
		want                    bool
	}{
		"the image in the status":                   {image, "ErrImagePull", "", true},
		"an image that the pod had before":          {"b:1", "ErrImagePull", `failed to pull image "b:1"`, false},
		"the image in the message, after an update": {"b:1", "ImagePullBackOff", `Back-off pulling image "localhost:5001/a:1"`, true},
		"an image whose name begins the same":       {"b:1", "ImagePullBackOff", `Back-off pulling image "localhost:5001/a:10"`, false},
		"a container that waits for something else": {image, "ContainerCreating", "", false},
		"a container without a status":              {"", "", "", false},
	} {
		pod := waiting(corev1.PodRunning, image, tt.status, tt.reason, tt.message)
		got := podimage.Read(pod, registryHost).Unpullable()
		if (len(got) == 1) != tt.want || tt.want && got[0].Image != "a:1" {
			t.Errorf("%s: Unpullable = %v, want a:1: %v", name, got, tt.want)
		}
	}
}

// TestUnpullable_IgnoresTheImagesOfVolumes uses the messages of Kubernetes 1.37 with containerd 2.3.
func TestUnpullable_IgnoresTheImagesOfVolumes(t *testing.T) {
	t.Parallel()
	const image = "localhost:5001/a:1"
	for message, want := range map[string]bool{
		`Back-off pulling image "b/data:1": ErrImagePull: failed to resolve reference "docker.io/b/data:1": dial tcp: no such host`: false,
		`failed to pull and unpack image "docker.io/b/data:1": failed to resolve reference "docker.io/b/data:1": no such host`:      false,
		`Back-off pulling image "localhost:5001/a:1"`:                     true,
		`failed to pull and unpack image "localhost:5001/a:1": not found`: true,
		"": true,
	} {
		pod := waiting(corev1.PodPending, image, image, "ImagePullBackOff", message)
		pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: "b/data:1"},
		}}}
		if got := podimage.Read(pod, registryHost).Unpullable(); (len(got) == 1) != want {
			t.Errorf("%q: Unpullable = %v, want the container: %v", message, got, want)
		}
	}
}

func TestRestore_KeepsRunningImages(t *testing.T) {
	t.Parallel()
	const build = "localhost:5001/a:1-0123456789ab"
	if patch := podimage.Read(waiting(corev1.PodRunning, build, build, "", ""), registryHost).Restore(); patch != nil {
		t.Errorf("Restore of a running pod = %v, want no patch", lines(patch))
	}
	if patch := podimage.Read(waiting(corev1.PodRunning, build, build, "ImagePullBackOff", ""), registryHost).Restore(); patch == nil {
		t.Error("a container that waits for a push that will never happen is not restored")
	}
}

func TestRestore_ChangesNoImageInExemptNamespaces(t *testing.T) {
	t.Parallel()
	pod := waiting(corev1.PodPending, "localhost:5001/a:1", "", "", "")
	pod.Namespace, pod.Spec.SchedulingGates = "kube-system", []corev1.PodSchedulingGate{{Name: config.Gate}}
	for _, operation := range lines(podimage.Read(pod, registryHost).Restore()) {
		if strings.Contains(operation, "image\"") {
			t.Errorf("Restore changes an image: %s", operation)
		}
	}
}

func TestWaiting_NeverRestoresImagesWithPullPolicyNever(t *testing.T) {
	t.Parallel()
	pod := waiting(corev1.PodPending, "localhost:5001/a:1", "", "", "")
	if got := podimage.Read(pod, registryHost).Waiting()[0].Restored().Image; got != "a:1" {
		t.Errorf("Restored = %s, want the original image", got)
	}
	pod.Annotations[config.NeverAnnotation] = `["spec.containers{app}"]`
	if got := podimage.Read(pod, registryHost).Waiting()[0].Restored().Image; got != "localhost:5001/a:1" {
		t.Errorf("Restored = %s, want the image unchanged because its author wrote Never", got)
	}
}

func TestWaiting_PushesTheNamedBuild(t *testing.T) {
	t.Parallel()
	const build, digest = "localhost:5001/a:1-0123456789ab", "sha256:0"
	field := podimage.Read(waiting(corev1.PodPending, build, "", "", ""), registryHost).Waiting()[0]
	if field.Pushes() != build || field.Pushed(digest).Image != build {
		t.Errorf("pushes %s and then runs %s, want %s twice", field.Pushes(), field.Pushed(digest).Image, build)
	}
	field = field.ByTag()
	if want := "localhost:5001/a:1@" + digest; field.Pushes() != "a:1" || field.Pushed(digest).Image != want {
		t.Errorf("by tag: pushes %s and then runs %s, want a:1 and %s", field.Pushes(), field.Pushed(digest).Image, want)
	}
}
