package webhook

import (
	"encoding/json"
	"fmt"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook/podimage"
)

// Patch returns the operations that carry the outcomes out on the subject, for the registry at registryHost: those of
// PatchImages, and our gate where an image is yet to be pushed. It is empty where nothing changes, so that a second call
// on its own result does nothing.
func Patch(s Subject, outcomes []Outcome, registryHost string) ([]jsonpatch.Operation, error) {
	operations, err := PatchImages(s, outcomes, registryHost)
	if err != nil || s.Ephemeral { // a gate can come with a new pod only
		return operations, err
	}
	// The API server refuses a gated pod that has a node: there, the kubelet tries until the image is pushed.
	if pushing(outcomes) && s.Pod.Spec.NodeName == "" && !podimage.Gated(s.Pod) {
		operations = append(operations, podimage.AddGate(s.Pod))
	}
	return operations, nil
}

// PatchImages returns the operations of Patch without the gate: the images, and the annotation with the references as
// they were written. They are for whoever carries them out where nobody may be there to lift a gate.
func PatchImages(s Subject, outcomes []Outcome, registryHost string) ([]jsonpatch.Operation, error) {
	var operations []jsonpatch.Operation
	for _, o := range outcomes {
		if o.Decision.Changed() {
			operations = append(operations, replace(o)...)
		}
	}
	if s.Ephemeral { // nothing else of the pod can be changed then
		return operations, nil
	}
	annotate, err := annotate(s.Pod, outcomes, registryHost)
	if err != nil {
		return nil, err
	}
	return append(operations, annotate...), nil
}

// patch puts the patch into the response, if there is anything to change.
func patch(response *admissionv1.AdmissionResponse, s Subject, outcomes []Outcome, registryHost string) error {
	operations, err := Patch(s, outcomes, registryHost)
	if err != nil || len(operations) == 0 {
		return err
	}
	if response.Patch, err = json.Marshal(operations); err != nil {
		return fmt.Errorf("writing the patch: %w", err)
	}
	response.PatchType = new(admissionv1.PatchTypeJSONPatch)
	return nil
}

// replace returns the operations that rewrite one field. A pull policy of Never would keep the kubelet from the registry.
func replace(o Outcome) []jsonpatch.Operation {
	operations := []jsonpatch.Operation{o.Field.ReplaceImage(o.Decision.Rewritten)}
	if o.Field.PullPolicy == corev1.PullNever {
		operations = append(operations, o.Field.ReplacePullPolicy(corev1.PullIfNotPresent))
	}
	return operations
}

// annotate returns the operations that record the references as they were written, of the fields that change or wait.
func annotate(pod *corev1.Pod, outcomes []Outcome, registryHost string) ([]jsonpatch.Operation, error) {
	originals := podimage.ReadOriginals(pod)
	recorded := false
	for _, o := range outcomes {
		_, known := originals.Of(o.Field, registryHost)
		if o.Decision.Changed() || o.Decision.NeedsPush() && !known {
			originals[o.Field.Path] = o.Field.Image
			recorded = true
		}
	}
	if !recorded {
		return nil, nil
	}
	return originals.Annotate(pod)
}

// pushing says whether an image is yet to be pushed.
func pushing(outcomes []Outcome) bool {
	for _, o := range outcomes {
		if o.Decision.NeedsPush() {
			return true
		}
	}
	return false
}
