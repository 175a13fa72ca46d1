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

func TestOf_FindsWhatStillWaits(t *testing.T) {
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
			originals := podimage.Originals{}
			if tt.recorded != "" {
				originals["spec.containers{app}"] = tt.recorded
			}
			got, ok := originals.Of(podimage.Field{Path: "spec.containers{app}", Image: tt.image}, registryHost)
			if ok != tt.want || ok && got != tt.recorded {
				t.Errorf("Of(%q) with %q recorded = %q, %v, want %v", tt.image, tt.recorded, got, ok, tt.want)
			}
		})
	}
}

func TestWritten_KnowsEveryFormThatWeGiveAnImage(t *testing.T) {
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
		originals := podimage.Originals{"spec.containers{app}": "a/b:1"}
		if got := originals.Written(podimage.Field{Path: "spec.containers{app}", Image: image}, registryHost); got != want {
			t.Errorf("Written(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestUntagged_TakesTheTagFromWhatHasADigest(t *testing.T) {
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

func TestReadOriginals_TakesWhatSomebodyElseWroteForNothing(t *testing.T) {
	t.Parallel()
	for _, annotation := range []string{"", "null", "[]", "{", `{"a":1}`, `"a"`} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{config.OriginalsAnnotation: annotation},
		}}
		if got := podimage.ReadOriginals(pod); got == nil || len(got) > 0 {
			t.Errorf("ReadOriginals of %s = %v, want an empty map", annotation, got)
		}
	}
}

func TestLiftGate_TakesOursAndNoOther(t *testing.T) {
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
			got, err := json.Marshal(podimage.LiftGate(tt.pod))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("LiftGate (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHideProgress_TakesAwayWhatMayBeThere(t *testing.T) {
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
