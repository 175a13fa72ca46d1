package podimage

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

// OptedOut says whether the pod asks that its images be left alone, by its annotation, or where it says nothing, by the
// label of that name of its namespace.
func OptedOut(pod *corev1.Pod, namespace map[string]string) bool {
	if OptedIn(pod) {
		return false
	}
	return pod.Annotations[config.RewriteAnnotation] == "false" || namespace[config.RewriteAnnotation] == "false"
}

// OptedIn says whether the pod asks that its images be rewritten.
func OptedIn(pod *corev1.Pod) bool { return pod.Annotations[config.RewriteAnnotation] == "true" }

// Mirror says whether the pod mirrors a static pod of the kubelet, which nobody may change.
func Mirror(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}

// Originals holds references as they were written, by Field.Path.
type Originals map[string]string

// ReadOriginals returns what the pod's annotation holds. An annotation that is not ours, or not JSON, holds nothing.
func ReadOriginals(pod *corev1.Pod) Originals {
	originals := Originals{}
	if err := json.Unmarshal([]byte(pod.Annotations[config.OriginalsAnnotation]), &originals); err != nil || originals == nil {
		return Originals{}
	}
	return originals
}

// Of returns the original image of a field that still waits for its push: what stands in the field is what the recorded
// reference becomes in the registry at registryHost, with the tag of the image or of one build, and without a digest. It
// returns false for any other field, so that an annotation copied from another pod, or written by hand, moves nothing.
func (o Originals) Of(field Field, registryHost string) (string, bool) {
	original, recorded := o[field.Path]
	if !recorded {
		return "", false
	}
	name, err := rewrite.Parse(original)
	if err != nil || name.Digest() != "" {
		return "", false
	}
	if name.Host() == registryHost {
		return original, field.Image == original
	}
	target, err := name.Target(registryHost)
	return original, err == nil && (field.Image == target || rewrite.IsBuildOf(field.Image, target))
}

// Written returns the image of the field as it was written: what is recorded of it, if that stands there in its rewritten
// form, with a digest or without.
func (o Originals) Written(field Field, registryHost string) string {
	image, _, pinned := strings.Cut(field.Image, "@")
	original, ok := o.Of(Field{Path: field.Path, Image: image}, registryHost)
	if name, err := rewrite.Parse(o[field.Path]); !ok && pinned && err == nil {
		original, ok = o.Of(Field{Path: field.Path, Image: image + ":" + name.Tag()}, registryHost)
	}
	if !ok {
		return field.Image
	}
	return original
}

// Rewritten reports whether the pod has an image that we rewrote.
func Rewritten(pod *corev1.Pod, registryHost string) bool {
	originals := ReadOriginals(pod)
	return slices.ContainsFunc(Fields(pod), func(field Field) bool {
		return originals.Written(field, registryHost) != field.Image
	})
}

// Annotate returns the operations that write the originals into the pod's annotation, and into another the paths of those
// fields whose author wrote the pull policy Never. It fails with ErrAnnotationsFull.
func (o Originals) Annotate(pod *corev1.Pod, never []string) ([]jsonpatch.Operation, error) {
	value, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing annotation %s: %w", config.OriginalsAnnotation, err)
	}
	annotations := map[string]string{config.OriginalsAnnotation: string(value)}
	if len(never) > 0 {
		paths, err := json.Marshal(never)
		if err != nil {
			return nil, fmt.Errorf("writing annotation %s: %w", config.NeverAnnotation, err)
		}
		annotations[config.NeverAnnotation] = string(paths)
	}
	return annotate(pod, annotations), fits(pod, annotations)
}

// ErrAnnotationsFull is returned for a pod whose own annotations leave no room for ours: the API server refuses a pod with
// more than 256 KiB of them (k8s.io/apimachinery/pkg/api/validation).
var ErrAnnotationsFull = errors.New("the pod's annotations leave no room for ours")

// reserved is the room in bytes that is left for the annotations which a pod is given later: progress and healing.
const reserved = 1 << 10

// fits fails with ErrAnnotationsFull if the pod may not have these annotations beside its own.
func fits(pod *corev1.Pod, annotations map[string]string) error {
	size := reserved
	for key, value := range pod.Annotations {
		if _, replaced := annotations[key]; !replaced {
			size += len(key) + len(value)
		}
	}
	for key, value := range annotations {
		size += len(key) + len(value)
	}
	if size > validation.TotalAnnotationSizeLimitB {
		return ErrAnnotationsFull
	}
	return nil
}

// AnnotateHealed is Annotate for a pod that is given other images after its creation.
func (o Originals) AnnotateHealed(pod *corev1.Pod, healed Healed) ([]jsonpatch.Operation, error) {
	originals, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing annotation %s: %w", config.OriginalsAnnotation, err)
	}
	healing, err := json.Marshal(healed)
	if err != nil {
		return nil, fmt.Errorf("writing annotation %s: %w", config.HealedAnnotation, err)
	}
	return annotate(pod, map[string]string{
		config.OriginalsAnnotation: string(originals), config.HealedAnnotation: string(healing),
	}), nil
}

// ReadNever returns the paths of the fields whose author wrote the pull policy Never, as the pod's annotation holds them. An
// annotation that is not ours, or not JSON, holds none.
func ReadNever(pod *corev1.Pod) []string {
	var paths []string
	if err := json.Unmarshal([]byte(pod.Annotations[config.NeverAnnotation]), &paths); err != nil {
		return nil
	}
	return paths
}

// Healed says how often a pod was given other images after its creation, as it could not pull those it had, and when it was
// last.
type Healed struct {
	Times int       `json:"times"`
	Last  time.Time `json:"last"`
}

// ReadHealed returns what the pod's annotation says. One that is not ours says that it never was.
func ReadHealed(pod *corev1.Pod) Healed {
	var healed Healed
	if err := json.Unmarshal([]byte(pod.Annotations[config.HealedAnnotation]), &healed); err != nil {
		return Healed{}
	}
	return healed
}

// progressPath returns where the progress annotation stands in a pod.
func progressPath() string { return "/metadata/annotations/" + escape(config.ProgressAnnotation) }

// ShowProgress returns the patch that has a gated pod say how far its pushes are, while our gate holds it as it does now.
func ShowProgress(pod *corev1.Pod, text string) []jsonpatch.Operation {
	return []jsonpatch.Operation{TestUID(pod), testGate(gateIndex(pod)), setProgress(text)}
}

// setProgress returns the operation that writes the progress of a pod with annotations.
func setProgress(text string) jsonpatch.Operation {
	return jsonpatch.NewOperation("add", progressPath(), text)
}

// HideProgress returns the operations that take that from the pod again, none where it is not known to say it. They write it
// first, as the pod may not have it after all, and nothing can be removed that is not there.
func HideProgress(pod *corev1.Pod) []jsonpatch.Operation {
	if _, shown := pod.Annotations[config.ProgressAnnotation]; !shown {
		return nil
	}
	return []jsonpatch.Operation{setProgress(""), jsonpatch.NewOperation("remove", progressPath(), nil)}
}

// annotate returns the operations that give the pod annotations.
func annotate(pod *corev1.Pod, annotations map[string]string) []jsonpatch.Operation {
	if pod.Annotations == nil {
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", "/metadata/annotations", annotations)}
	}
	var operations []jsonpatch.Operation
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		operations = append(operations, jsonpatch.NewOperation("add", "/metadata/annotations/"+escape(key), annotations[key]))
	}
	return operations
}

// gate is ours, as it stands in a pod.
func gate() corev1.PodSchedulingGate { return corev1.PodSchedulingGate{Name: config.Gate} }

// Gated says whether our gate holds the pod.
func Gated(pod *corev1.Pod) bool { return gateIndex(pod) >= 0 }

// AddGate returns the operation that appends our gate to those of the pod. A pod can be given a gate on creation only,
// and only while no node is set.
func AddGate(pod *corev1.Pod) jsonpatch.Operation {
	if len(pod.Spec.SchedulingGates) == 0 {
		return jsonpatch.NewOperation("add", "/spec/schedulingGates", []corev1.PodSchedulingGate{gate()})
	}
	return jsonpatch.NewOperation("add", "/spec/schedulingGates/-", gate())
}

// LiftGate returns the operations that take our gate, and no other, from the pod; none where it is not there.
func LiftGate(pod *corev1.Pod) []jsonpatch.Operation {
	index := gateIndex(pod)
	if index < 0 {
		return nil
	}
	return []jsonpatch.Operation{testGate(index), jsonpatch.NewOperation("remove", gatePath(index), nil)}
}

// testGate returns the operation that holds a patch to a pod in which our gate stands at that place.
func testGate(index int) jsonpatch.Operation {
	return jsonpatch.NewOperation("test", gatePath(index), gate())
}

func gatePath(index int) string { return fmt.Sprintf("/spec/schedulingGates/%d", index) }

// TestUID returns the operation that holds a patch to this pod, and not to a later one of the same name.
func TestUID(pod *corev1.Pod) jsonpatch.Operation {
	return jsonpatch.NewOperation("test", "/metadata/uid", pod.UID)
}

// gateIndex returns where our gate stands among those of the pod, or -1.
func gateIndex(pod *corev1.Pod) int {
	for i, g := range pod.Spec.SchedulingGates {
		if g.Name == config.Gate {
			return i
		}
	}
	return -1
}

// escape writes a map key as a token of a JSON Pointer.
func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
