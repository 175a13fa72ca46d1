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

// Patch returns the operations that apply the outcomes to the subject: those of PatchImages, and our gate if an image is yet to
// be pushed. A second call on the patched pod returns none.
func Patch(s Subject, outcomes []Outcome) ([]jsonpatch.Operation, error) {
	operations, err := PatchImages(s, outcomes)
	if err != nil || s.Old != nil { // only a new pod can get a gate
		return operations, err
	}
	// The API server refuses a gated pod that has a node. The kubelet of that node retries until the image is pushed.
	if pushing(outcomes) && s.Pod.Spec.NodeName == "" && !podimage.Gated(s.Pod.Pod) {
		operations = append(operations, podimage.AddGate(s.Pod.Pod))
	}
	return operations, nil
}

// PatchImages returns the operations of Patch without the gate: the images and the annotation with the original images. They
// are for a user who applies them where no webhook may be running to ungate the pod.
func PatchImages(s Subject, outcomes []Outcome) ([]jsonpatch.Operation, error) {
	var operations []jsonpatch.Operation
	for i, o := range outcomes {
		if current := s.Fields[i]; current.Image != o.Decision.Rewritten {
			operations = append(operations, current.ReplaceImage(o.Decision.Rewritten))
		}
	}
	policies, never := pullPolicies(s, outcomes)
	operations = append(operations, policies...)
	if s.Ephemeral { // such a request can change nothing else of the pod
		return operations, nil
	}
	annotate, err := annotate(s, outcomes, never)
	if err != nil {
		return nil, err
	}
	return append(operations, annotate...), nil
}

// patch adds the patch to the response, if the pod changes.
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

// pullPolicies returns the operations that let the kubelet pull rewritten images although the author wrote imagePullPolicy:
// Never, and the paths of all such fields. A copied pod whose image is not rewritten gets the author's policy back. An update
// that names the author's policy keeps the pod's current one.
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

// annotate returns the operations that record the original images of fields that change or wait, and the fields whose original
// image must not be pulled.
func annotate(s Subject, outcomes []Outcome, never []string) ([]jsonpatch.Operation, error) {
	originals := map[string]string{}
	for _, o := range outcomes {
		if o.Decision.Changed() || o.Decision.NeedsPush() {
			originals[o.Field.Path] = o.Field.Image
		}
	}
	return s.Pod.Annotate(originals, never)
}

// pushing reports whether an image is yet to be pushed.
func pushing(outcomes []Outcome) bool {
	for _, o := range outcomes {
		if o.Decision.NeedsPush() {
			return true
		}
	}
	return false
}
