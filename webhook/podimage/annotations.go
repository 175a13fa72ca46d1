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
)

// ErrAnnotationsFull is returned for a pod whose own annotations leave no room for ours. The API server refuses a pod with more
// than 256 KiB of annotations (k8s.io/apimachinery/pkg/api/validation).
var ErrAnnotationsFull = errors.New("the pod's annotations leave no room for ours")

// reserved is how many bytes are kept free for the annotations about progress and healing, which a pod gets later.
const reserved = 1 << 10

// Healed records how often and when a pod was healed.
type Healed struct {
	// Times is how often the pod was healed.
	Times int `json:"times"`
	// Last is when the pod was last healed.
	Last time.Time `json:"last"`
}

// readOriginals returns the original images from the pod's annotation, by Field.Path.
func readOriginals(pod *corev1.Pod) map[string]string {
	originals := map[string]string{}
	if err := json.Unmarshal([]byte(pod.Annotations[config.OriginalsAnnotation]), &originals); err != nil || originals == nil {
		return map[string]string{}
	}
	return originals
}

// readNever reads the pod's annotation and returns the paths of the fields whose original pull policy was Never.
func readNever(pod *corev1.Pod) []string {
	var paths []string
	if err := json.Unmarshal([]byte(pod.Annotations[config.NeverAnnotation]), &paths); err != nil {
		return nil
	}
	return paths
}

// ReadHealed reads the pod's annotation about healing. An invalid annotation is treated as missing.
func ReadHealed(pod *corev1.Pod) Healed {
	var healed Healed
	if err := json.Unmarshal([]byte(pod.Annotations[config.HealedAnnotation]), &healed); err != nil {
		return Healed{}
	}
	return healed
}

// Annotate returns the operations that record two things in annotations. The first is the original images by Field.Path, which
// are added to those already recorded. The second is the paths of the fields whose original pull policy was Never. Annotate
// returns no operations if both are already recorded. It may fail with ErrAnnotationsFull.
func (p *Pod) Annotate(originals map[string]string, never []string) ([]jsonpatch.Operation, error) {
	all := p.merged(originals)
	if maps.Equal(all, p.recorded) && slices.Equal(never, p.never) {
		return nil, nil
	}
	annotations := map[string]any{config.OriginalsAnnotation: all}
	if len(never) > 0 {
		annotations[config.NeverAnnotation] = never
	}
	encoded, err := encode(annotations)
	if err != nil {
		return nil, err
	}
	return annotate(p.Pod, encoded), fits(p.Pod, encoded)
}

// AnnotateHealed returns the operations that record the original images and the heal.
func (p *Pod) AnnotateHealed(originals map[string]string, healed Healed) ([]jsonpatch.Operation, error) {
	encoded, err := encode(map[string]any{config.OriginalsAnnotation: p.merged(originals), config.HealedAnnotation: healed})
	if err != nil {
		return nil, err
	}
	return annotate(p.Pod, encoded), nil
}

// merged returns the recorded original images together with the given ones, which replace recorded images with the same path.
func (p *Pod) merged(originals map[string]string) map[string]string {
	all := maps.Clone(p.originals)
	maps.Copy(all, originals)
	return all
}

// encode returns the annotations with their values as JSON.
func encode(annotations map[string]any) (map[string]string, error) {
	encoded := map[string]string{}
	for key, value := range annotations {
		document, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("writing annotation %s: %w", key, err)
		}
		encoded[key] = string(document)
	}
	return encoded, nil
}

// fits returns ErrAnnotationsFull if the pod's own annotations leave too little room for the given ones.
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

// annotate returns the operations that add annotations to the pod.
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

// TestUID returns the operation that makes the patch fail for a later pod with the same name.
func TestUID(pod *corev1.Pod) jsonpatch.Operation {
	return jsonpatch.NewOperation("test", "/metadata/uid", pod.UID)
}

// escape returns the map key as a JSON Pointer token (RFC 6901).
func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
