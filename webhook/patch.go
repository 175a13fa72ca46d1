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

// Patch returns the operations that apply the outcomes to the subject. They are those of PatchImages, plus one that adds our gate
// if an image still has to be pushed. For a pod that is already patched, it returns no operations.
func Patch(s Subject, outcomes []Outcome) ([]jsonpatch.Operation, error) {
	operations, err := PatchImages(s, outcomes)
	if err != nil || s.Old != nil { // only a new pod can be gated
		return operations, err
	}
	// The API server refuses a gated pod that has a node. Without the gate, the node's kubelet retries until the image is pushed.
	if pushing(outcomes) && s.Pod.Spec.NodeName == "" && !podimage.Gated(s.Pod.Pod) {
		operations = append(operations, podimage.AddGate(s.Pod.Pod))
	}
	return operations, nil
}

// PatchImages returns the operations of Patch without the gate: they change the images and pull policies, and record the original
// images in an annotation. A user can apply them even to a cluster that has no running webhook to ungate the pod.
func PatchImages(s Subject, outcomes []Outcome) ([]jsonpatch.Operation, error) {
	var operations []jsonpatch.Operation
	for i, o := range outcomes {
		if current := s.Fields[i]; current.Image != o.Decision.Rewritten {
			operations = append(operations, current.ReplaceImage(o.Decision.Rewritten))
		}
	}
	policies, never := pullPolicies(s, outcomes)
	operations = append(operations, policies...)
	if s.Ephemeral { // such a request can change nothing else in the pod
		return operations, nil
	}
	annotate, err := annotate(s, outcomes, never)
	if err != nil {
		return nil, err
	}
	return append(operations, annotate...), nil
}

// patch adds the operations of Patch to the response, if there are any.
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

// pullPolicies returns the operations that let the kubelet pull rewritten images even if the author wrote imagePullPolicy: Never.
// It also returns the paths of all fields with that original policy. If a new pod is a copy of a rewritten one, and one of its
// images is not rewritten this time, that image's policy is set back to Never. If an update sets the author's policy again, the
// pod keeps its current policy.
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

// annotate returns the operations that record two things in annotations: the original images of fields that change or wait for a
// push, and the fields whose original pull policy was Never.
func annotate(s Subject, outcomes []Outcome, never []string) ([]jsonpatch.Operation, error) {
	originals := map[string]string{}
	for _, o := range outcomes {
		if o.Decision.Changed() || o.Decision.NeedsPush() {
			originals[o.Field.Path] = o.Field.Image
		}
	}
	return s.Pod.Annotate(originals, never)
}

// pushing reports whether an image still has to be pushed.
func pushing(outcomes []Outcome) bool {
	for _, o := range outcomes {
		if o.Decision.NeedsPush() {
			return true
		}
	}
	return false
}
