package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
)

// MaxReview is the maximum size of an AdmissionReview in bytes. An object is at most 3 MiB, and an update contains two objects.
const MaxReview = 7 << 20

// reviewKind is the only kind of document that Answer accepts.
const reviewKind = "AdmissionReview"

// Answer answers an AdmissionReview (admission.k8s.io/v1) with another one, both as JSON. It fails for any other document,
// because such a document contains no request to allow or deny.
func (h *Handler) Answer(ctx context.Context, document []byte) ([]byte, error) {
	return h.answer(ctx, document, false)
}

// answer implements Answer. If dryRun is true, the request is treated as a dry run even if it does not say so.
func (h *Handler) answer(ctx context.Context, document []byte, dryRun bool) ([]byte, error) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(document, &review); err != nil {
		return nil, fmt.Errorf("decoding the AdmissionReview: %w", err)
	}
	version := admissionv1.SchemeGroupVersion.String()
	switch {
	case review.Kind != reviewKind:
		return nil, fmt.Errorf("unexpected kind %q, want %s", review.Kind, reviewKind)
	case review.APIVersion != version:
		return nil, fmt.Errorf("unexpected version %q of the AdmissionReview, want %s", review.APIVersion, version)
	case review.Request == nil:
		return nil, errors.New("the AdmissionReview has no request")
	}
	if dryRun {
		review.Request.DryRun = &dryRun
	}
	answer := admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: h.handleBounded(ctx, review.Request)}
	encoded, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return encoded, nil
}

// handleBounded calls Handle. If decoding the request's objects would take too much memory, it allows the request unchanged
// without decoding them.
func (h *Handler) handleBounded(ctx context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	for _, object := range [][]byte{request.Object.Raw, request.OldObject.Raw} {
		if err := checkSize(object); err != nil {
			return h.allowedAfter(err, request)
		}
	}
	return h.Handle(ctx, request)
}
