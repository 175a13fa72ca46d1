package podimage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/webhook/podimage"
)

// lines returns the operations as JSON.
func lines(patch []jsonpatch.Operation) []string {
	var all []string
	for _, operation := range patch {
		all = append(all, operation.Json())
	}
	return all
}

func TestRestore_UngatesWithOriginalImages(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{UID: "uid", Annotations: map[string]string{
			config.OriginalsAnnotation: `{"spec.containers{waits}":"a:1","spec.containers{pinned}":"b:1",` +
				`"spec.containers{itself}":"localhost:5001/c:1","spec.volumes{final}":"d:1"}`,
		}},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/theirs"}, {Name: config.Gate}},
			Containers: []corev1.Container{
				{Name: "pinned", Image: "localhost:5001/b:1" + digest},
				{Name: "itself", Image: "localhost:5001/c:1"},
				{Name: "waits", Image: "localhost:5001/a:1"},
				{Name: "foreign", Image: "localhost:5001/e:1"},
			},
			Volumes: []corev1.Volume{{Name: "final", VolumeSource: corev1.VolumeSource{
				Image: &corev1.ImageVolumeSource{Reference: "localhost:5001/d:1"},
			}}},
		},
	}
	want := []string{
		`{"op":"test","path":"/metadata/uid","value":"uid"}`,
		`{"op":"test","path":"/spec/containers/2/image","value":"localhost:5001/a:1"}`,
		`{"op":"replace","path":"/spec/containers/2/image","value":"a:1"}`,
		`{"op":"test","path":"/spec/schedulingGates/1","value":{"name":"kind-local-registry/image-push"}}`,
		`{"op":"remove","path":"/spec/schedulingGates/1"}`,
	}
	if diff := cmp.Diff(want, lines(podimage.Read(pod, registryHost).Restore())); diff != "" {
		t.Errorf("Restore (-want +got):\n%s", diff)
	}
}

func TestRestore_RestoresPodsWithANode(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{UID: "uid", Annotations: map[string]string{
			config.OriginalsAnnotation: `{"spec.containers{app}":"a:1"}`,
		}},
		Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "app", Image: "localhost:5001/a:1"}}},
	}
	want := []string{
		`{"op":"test","path":"/metadata/uid","value":"uid"}`,
		`{"op":"test","path":"/spec/containers/0/image","value":"localhost:5001/a:1"}`,
		`{"op":"replace","path":"/spec/containers/0/image","value":"a:1"}`,
	}
	if diff := cmp.Diff(want, lines(podimage.Read(pod, registryHost).Restore())); diff != "" {
		t.Errorf("Restore (-want +got):\n%s", diff)
	}
}

func TestRestore_SkipsPodsThatWaitForNothing(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/theirs"}},
		Containers:      []corev1.Container{{Name: "app", Image: "localhost:5001/a:1"}},
	}}
	if patch := podimage.Read(pod, registryHost).Restore(); patch != nil {
		t.Errorf("Restore = %v, want no patch", lines(patch))
	}
}
