package webhook

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kind-local-registry/webhook/podimage"
	"kind-local-registry/webhook/rewrite"
)

const (
	// Path is where the webhook is served.
	Path = "/pods"
	// parallel is how many images of one pod are looked up at once.
	parallel = 16
	// unavailable is the warning that the pod's creator sees, of at most 120 characters.
	unavailable = "kind-local-registry: the host could not be asked for its images in time; left as they are written"
)

// Handler answers admission requests for pods that are being created. It never denies one, and never returns an error:
// controller-runtime would make a denial of it.
type Handler struct {
	// RegistryHost is the registry's host in every rewritten reference, such as localhost:5001.
	RegistryHost string
	// Looker is asked about every image, for at most lookupTime in all.
	Looker Looker
	// Log takes one line a decision.
	Log logr.Logger
}

// Handle answers one request.
func (h *Handler) Handle(ctx context.Context, request admission.Request) (response admission.Response) {
	log := h.Log.WithValues("namespace", request.Namespace)
	defer func() {
		if fault := recover(); fault != nil {
			log.Error(fmt.Errorf("panic: %v", fault), "pod left as it is written", "pod", request.Name)
			response = admission.Allowed("")
		}
	}()
	response, err := h.review(ctx, log, request)
	if err != nil {
		log.Error(err, "pod left as it is written", "pod", request.Name)
		return admission.Allowed("")
	}
	return response
}

// review decides about every image of the pod in the request, and logs and answers what it decided.
func (h *Handler) review(ctx context.Context, log logr.Logger, request admission.Request) (admission.Response, error) {
	pod := &corev1.Pod{}
	if err := json.Unmarshal(request.Object.Raw, pod); err != nil {
		return admission.Response{}, fmt.Errorf("decoding pod: %w", err)
	}
	log = log.WithValues("pod", displayName(pod))
	outcomes := h.Review(ctx, pod)
	patch, err := Patch(pod, outcomes, h.RegistryHost)
	if err != nil {
		return admission.Response{}, fmt.Errorf("making patch: %w", err)
	}
	response := admission.Patched("", patch...)
	for _, o := range outcomes {
		logOutcome(log, o)
		if o.Decision.Reason == rewrite.LookupUnavailable && len(response.Warnings) == 0 {
			response = response.WithWarnings(unavailable)
		}
	}
	return response, nil
}

// Review decides about every image of the pod, in the order of podimage.Fields.
func (h *Handler) Review(ctx context.Context, pod *corev1.Pod) []Outcome {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	fields := podimage.Fields(pod)
	outcomes := make([]Outcome, len(fields))
	var deciding errgroup.Group
	deciding.SetLimit(parallel)
	for i, field := range fields {
		deciding.Go(func() error {
			outcomes[i] = Outcome{Field: field, Decision: h.decide(ctx, pod, field.Image)}
			return nil
		})
	}
	_ = deciding.Wait() // no decision fails
	return outcomes
}

// decide decides about one image of the pod. It runs outside Handle's recover, so it has its own.
func (h *Handler) decide(ctx context.Context, pod *corev1.Pod, image string) (decision rewrite.Decision) {
	defer func() {
		if fault := recover(); fault != nil {
			decision = rewrite.Decision{
				Image: image, Rewritten: image,
				Reason: rewrite.LookupUnavailable, Detail: fmt.Sprintf("panic: %v", fault),
			}
		}
	}()
	switch {
	case podimage.Mirror(pod):
		return rewrite.Decision{Image: image, Rewritten: image, Reason: rewrite.MirrorPod}
	case podimage.OptedOut(pod):
		return rewrite.Decision{Image: image, Rewritten: image, Reason: rewrite.OptedOut}
	}
	return rewrite.Decide(image, h.RegistryHost, func(name rewrite.Name) (rewrite.Presence, error) {
		return h.Looker.Lookup(ctx, name.String())
	})
}

// logOutcome answers, in one line, why the image of a field was rewritten or not.
func logOutcome(log logr.Logger, o Outcome) {
	values := []any{"field", o.Field.Path, "image", o.Field.Image, "reason", o.Decision.Reason}
	if o.Decision.Changed() {
		values = append(values, "rewritten", o.Decision.Rewritten)
	}
	if o.Decision.Digest != "" {
		values = append(values, "digest", o.Decision.Digest)
	}
	if o.Decision.Detail != "" {
		values = append(values, "error", o.Decision.Detail)
	}
	log.Info("image decided", values...)
}

// displayName returns the pod's name, or what its name will begin with.
func displayName(pod *corev1.Pod) string {
	if pod.Name != "" {
		return pod.Name
	}
	return pod.GenerateName
}
