package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook/podimage"
)

// workload is an object that creates pods: a Deployment, StatefulSet, DaemonSet or Job has a template, and a CronJob a jobTemplate.
type workload struct {
	Spec struct {
		Template    corev1.PodTemplateSpec `json:"template"`
		JobTemplate struct {
			Spec struct {
				Template corev1.PodTemplateSpec `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

// isWorkload reports whether the request creates or updates a workload.
func isWorkload(request *admissionv1.AdmissionRequest) bool {
	switch request.Resource.Group {
	case "apps", "batch":
		return request.SubResource == "" && (request.Operation == admissionv1.Create || request.Operation == admissionv1.Update)
	}
	return false
}

// reviewWorkload warns about typing errors in the images of a workload's template, because the client that creates a workload does not
// see the warnings about its pods. It changes nothing, and it neither logs nor counts the decisions, because no pod is admitted.
func (h *Handler) reviewWorkload(
	ctx context.Context, request *admissionv1.AdmissionRequest,
) (*admissionv1.AdmissionResponse, error) {
	response := allowed(request)
	pod, err := templatePod(request.Object.Raw)
	if err != nil {
		return nil, err
	}
	fields := podimage.Fields(pod)
	if request.Operation == admissionv1.Update {
		old, err := templatePod(request.OldObject.Raw)
		if err != nil {
			return nil, err
		}
		before := podimage.Fields(old)
		fields = slices.DeleteFunc(fields, func(field podimage.Field) bool { return slices.Contains(before, field) })
	}
	if len(fields) == 0 || len(fields) > MaxFields {
		return response, nil
	}
	subject := Subject{
		Pod: podimage.Read(pod, h.Decider.RegistryHost), Fields: fields, Namespace: request.Namespace,
		Labels: h.labels(ctx, request.Namespace),
	}
	outcomes := slices.DeleteFunc(h.Decider.Decide(ctx, subject), func(o Outcome) bool { return !o.Decision.Typo })
	response.Warnings = warnings(subject, outcomes)
	return response, nil
}

// templatePod returns a pod as the workload would create it.
func templatePod(document []byte) (*corev1.Pod, error) {
	var decoded workload
	if err := json.Unmarshal(document, &decoded); err != nil {
		return nil, fmt.Errorf("decoding the pod template: %w", err)
	}
	template := decoded.Spec.Template
	if inJob := decoded.Spec.JobTemplate.Spec.Template; len(inJob.Spec.Containers) > 0 {
		template = inJob
	}
	return &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}, nil
}
