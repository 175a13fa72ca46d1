package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
)

// MaxReview is the limit for an AdmissionReview in bytes: an object may have 3 MiB, and an update carries two.
const MaxReview = 7 << 20

// reviewKind is the one kind of document that is answered.
const reviewKind = "AdmissionReview"

// Answer answers an AdmissionReview (admission.k8s.io/v1), a JSON document, with another. It fails on what is none; there
// is then no request that could be allowed or denied.
func (h *Handler) Answer(ctx context.Context, document []byte) ([]byte, error) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(document, &review); err != nil {
		return nil, fmt.Errorf("decoding the AdmissionReview: %w", err)
	}
	version := admissionv1.SchemeGroupVersion.String()
	switch {
	case review.Kind != reviewKind:
		return nil, fmt.Errorf("the document is a %q, and only an %s is answered", review.Kind, reviewKind)
	case review.APIVersion != version:
		return nil, fmt.Errorf("the AdmissionReview has version %q, and only %s is answered", review.APIVersion, version)
	case review.Request == nil:
		return nil, errors.New("the AdmissionReview has no request")
	}
	answer := admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: h.Handle(ctx, review.Request)}
	encoded, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return encoded, nil
}
