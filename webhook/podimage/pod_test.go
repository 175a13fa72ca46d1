package podimage_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/webhook/podimage"
)

const registryHost = "localhost:5001"

// recorded returns a pod with one container that runs image. Unless original is "", it is recorded as the original image.
func recorded(original, image string) *podimage.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}}}
	if original != "" {
		pod.Annotations = map[string]string{config.OriginalsAnnotation: `{"spec.containers{app}":"` + original + `"}`}
	}
	return podimage.Read(pod, registryHost)
}

func TestWaiting_FindsFieldsThatStillWait(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, tt := range map[string]struct {
		recorded, image string
		want            bool
	}{
		"rewritten, not pinned":              {"a/b:1", "localhost:5001/a/b:1", true},
		"rewritten, tag left to the default": {"a/b", "localhost:5001/a/b:latest", true},
		"rewritten to one build":             {"a/b:1", "localhost:5001/a/b:1-0123456789ab", true},
		"names the registry itself":          {"localhost:5001/a/b", "localhost:5001/a/b", true},
		"pinned":                             {"a/b:1", "localhost:5001/a/b:1" + digest, false},
		"restored":                           {"a/b:1", "a/b:1", false},
		"recorded for another image":         {"a/b:1", "localhost:5001/c:1", false},
		"recorded with a digest":             {"a/b" + digest, "localhost:5001/a/b", false},
		"not recorded":                       {"", "localhost:5001/a/b:1", false},
		"recorded nonsense":                  {"NOT AN IMAGE", "localhost:5001/a/b:1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := recorded(tt.recorded, tt.image).Waiting()
			if (len(got) == 1) != tt.want || tt.want && got[0].Original != tt.recorded {
				t.Errorf("Waiting for %q with %q recorded = %v, want it to wait: %v", tt.image, tt.recorded, got, tt.want)
			}
		})
	}
}

func TestOriginal_KnowsEveryRewrittenForm(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for image, want := range map[string]string{
		"localhost:5001/a/b:1":              "a/b:1",
		"localhost:5001/a/b:1" + digest:     "a/b:1",
		"localhost:5001/a/b" + digest:       "a/b:1",
		"localhost:5001/a/b":                "localhost:5001/a/b",
		"localhost:5001/a/b:1-0123456789ab": "a/b:1",
		"localhost:5001/a/b:2" + digest:     "localhost:5001/a/b:2" + digest,
		"a/b:1":                             "a/b:1",
		"c:1":                               "c:1",
	} {
		pod := recorded("a/b:1", image)
		if got := pod.Original(podimage.Fields(pod.Pod)[0]); got != want {
			t.Errorf("Original(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestUntagged_RemovesTheTagBesideADigest(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"localhost:5001/a/b:1@sha256:0": "localhost:5001/a/b@sha256:0",
		"localhost:5001/a/b@sha256:0":   "localhost:5001/a/b@sha256:0",
		"localhost:5001/a/b:1":          "localhost:5001/a/b:1",
	} {
		if got := podimage.Untagged(image); got != want {
			t.Errorf("Untagged(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestRead_IgnoresInvalidAnnotations(t *testing.T) {
	t.Parallel()
	for _, annotation := range []string{"", "null", "[]", "{", `{"a":1}`, `"a"`} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{config.OriginalsAnnotation: annotation},
		}}
		patch, err := podimage.Read(pod, registryHost).Annotate(map[string]string{"spec.containers{app}": "a:1"}, nil)
		if err != nil || len(patch) != 1 || patch[0].Value != `{"spec.containers{app}":"a:1"}` {
			t.Errorf("Annotate over %s = %v, %v, want one original image", annotation, patch, err)
		}
	}
}

func TestRemoveGate_RemovesOursOnly(t *testing.T) {
	t.Parallel()
	gates := func(names ...string) *corev1.Pod {
		pod := &corev1.Pod{}
		for _, name := range names {
			pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: name})
		}
		return pod
	}
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"no gate":      {gates(), `null`},
		"only another": {gates("theirs"), `null`},
		"only ours": {gates(config.Gate), `[{"op":"test","path":"/spec/schedulingGates/0",` +
			`"value":{"name":"kind-local-registry/image-push"}},{"op":"remove","path":"/spec/schedulingGates/0"}]`},
		"ours among others": {gates("a", config.Gate, "b"), `[{"op":"test","path":"/spec/schedulingGates/1",` +
			`"value":{"name":"kind-local-registry/image-push"}},{"op":"remove","path":"/spec/schedulingGates/1"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(podimage.RemoveGate(tt.pod))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("RemoveGate (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHideProgress_RemovesThePossibleAnnotation(t *testing.T) {
	t.Parallel()
	const path = `"path":"/metadata/annotations/kind-local-registry~1progress"`
	for name, tt := range map[string]struct {
		annotations map[string]string
		want        string
	}{
		"no annotation": {nil, `null`},
		"only another":  {map[string]string{config.OriginalsAnnotation: "{}"}, `null`},
		"shown": {
			map[string]string{config.ProgressAnnotation: "pushing 1 of 2 MB"},
			`[{"op":"add",` + path + `,"value":""},{"op":"remove",` + path + `}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: tt.annotations}}
			got, err := json.Marshal(podimage.HideProgress(pod))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("HideProgress (-want +got):\n%s", diff)
			}
		})
	}
}
