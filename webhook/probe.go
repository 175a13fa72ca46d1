package webhook

import (
	"encoding/json"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// isProbe reports whether the request creates a ConfigMap. The webhook receives such requests only for probes.
func isProbe(request *admissionv1.AdmissionRequest) bool {
	return request.Operation == admissionv1.Create && request.Resource.Group == "" && request.Resource.Resource == "configmaps"
}

// answerProbe adds the identity to a probe's data, which proves to the probe's creator that the API server reached the webhook.
// It leaves any other ConfigMap unchanged. It neither counts nor logs the request, because no pod is admitted.
func answerProbe(request *admissionv1.AdmissionRequest, identity string) *admissionv1.AdmissionResponse {
	response := allowed(request)
	probe := corev1.ConfigMap{}
	if json.Unmarshal(request.Object.Raw, &probe) != nil || probe.Labels[config.ProbeLabel] != "true" {
		return response
	}
	add := jsonpatch.NewOperation("add", "/data/"+config.ProbeKey, identity)
	if probe.Data == nil {
		add = jsonpatch.NewOperation("add", "/data", map[string]string{config.ProbeKey: identity})
	}
	document, err := json.Marshal([]jsonpatch.Operation{add})
	if err != nil { // strings are always valid JSON
		return response
	}
	response.Patch, response.PatchType = document, new(admissionv1.PatchTypeJSONPatch)
	return response
}
