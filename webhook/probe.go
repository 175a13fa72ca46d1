package webhook

import (
	"encoding/json"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// isProbe says whether the request asks about the creation of a ConfigMap, as no request does but one for a probe.
func isProbe(request *admissionv1.AdmissionRequest) bool {
	return request.Operation == admissionv1.Create && request.Resource.Group == "" && request.Resource.Resource == "configmaps"
}

// answerProbe adds the identity to the data of a probe, so that whoever creates it sees that the API server's call has
// arrived. Any other ConfigMap is left as it is. Nothing is counted or logged: it is no admission of a pod.
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
	if err != nil { // strings always are JSON
		return response
	}
	response.Patch, response.PatchType = document, new(admissionv1.PatchTypeJSONPatch)
	return response
}
