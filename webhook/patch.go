package webhook

import (
	"encoding/json"
	"fmt"
	"slices"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook/podimage"
)

// Patch returns the operations that carry the outcomes out on the subject: those of PatchImages, and our gate where
// an image is yet to be pushed. It is empty where nothing changes, so that a second call
// on its own result does nothing.
func Patch(s Subject, outcomes []Outcome) ([]jsonpatch.Operation, error) {
	operations, err := PatchImages(s, outcomes)
	if err != nil || s.Old != nil { // a gate can come with a new pod only
		return operations, err
	}
	// The API server refuses a gated pod that has a node: there, the kubelet tries until the image is pushed.
	if pushing(outcomes) && s.Pod.Spec.NodeName == "" && !podimage.Gated(s.Pod.Pod) {
		operations = append(operations, podimage.AddGate(s.Pod.Pod))
	}
	return operations, nil
}

// PatchImages returns the operations of Patch without the gate: the images, and the annotation with the references as
// they were written. They are for whoever carries them out where nobody may be there to lift a gate.
func PatchImages(s Subject, outcomes []Outcome) ([]jsonpatch.Operation, error) {
	var operations []jsonpatch.Operation
	for i, o := range outcomes {
		if current := s.Fields[i]; current.Image != o.Decision.Rewritten {
			operations = append(operations, current.ReplaceImage(o.Decision.Rewritten))
		}
	}
	policies, never := pullPolicies(s, outcomes)
	operations = append(operations, policies...)
	if s.Ephemeral { // nothing else of the pod can be changed then
		return operations, nil
	}
	annotate, err := annotate(s, outcomes, never)
	if err != nil {
		return nil, err
	}
	return append(operations, annotate...), nil
}

// patch puts the patch into the response, if there is anything to change.
func patch(response *admissionv1.AdmissionResponse, s Subject, outcomes []Outcome) error {
	operations, err := Patch(s, outcomes)
	if err != nil || len(operations) == 0 {
		return err
	}
	if response.Patch, err = json.Marshal(operations); err != nil {
		return fmt.Errorf("writing the patch: %w", err)
	}
	response.PatchType = new(admissionv1.PatchTypeJSONPatch)
	return nil
}

// pullPolicies returns the operations that let the kubelet pull what is rewritten although its author wrote the pull policy
// Never, which would keep the kubelet from the registry too; and the paths of all such fields. A copy of the pod whose image is
// not rewritten has the author's policy again. An update that names the author's policy keeps the one that the pod has.
func pullPolicies(s Subject, outcomes []Outcome) (operations []jsonpatch.Operation, never []string) {
	never = s.Pod.Never()
	for i, o := range outcomes {
		current := s.Fields[i]
		forbidden := current.PullPolicy == corev1.PullNever
		switch {
		case forbidden && o.Decision.Changed():
			operations = append(operations, current.ReplacePullPolicy(corev1.PullIfNotPresent))
			if !slices.Contains(never, current.Path) {
				never = append(never, current.Path)
			}
		case s.Old == nil && !forbidden && !o.Decision.Changed() && slices.Contains(never, current.Path):
			operations = append(operations, current.ReplacePullPolicy(corev1.PullNever))
		}
	}
	return operations, never
}

// annotate returns the operations that record the original images of the fields that change or wait, and the fields that
// may never be pulled under their original name.
func annotate(s Subject, outcomes []Outcome, never []string) ([]jsonpatch.Operation, error) {
	originals := map[string]string{}
	for _, o := range outcomes {
		if o.Decision.Changed() || o.Decision.NeedsPush() {
			originals[o.Field.Path] = o.Field.Image
		}
	}
	return s.Pod.Annotate(originals, never)
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
