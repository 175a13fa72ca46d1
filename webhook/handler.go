package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/lookup"
	"kind-local-registry/webhook/podimage"
)

// Path is where the webhook is served, for pods and for probes: the API server keeps connections by the path too, and a
// probe is to take those of the pods.
const Path = "/pods"

// Namespaces tells the labels of a namespace.
type Namespaces interface {
	Labels(ctx context.Context, name string) (map[string]string, error)
}

// Handler answers admission requests: for pods that are being created, for ephemeral containers that are added, and for
// probes. It never denies one.
type Handler struct {
	// Decider decides.
	Decider *Decider
	// Journal logs the decisions, and Log what went wrong besides.
	Journal *Journal
	Log     logr.Logger
	// Metrics count them.
	Metrics *Metrics
	// Guard finds owners that recreate their pods over and over.
	Guard *LoopGuard
	// Namespaces tells the labels of a pod's namespace; nil for none.
	Namespaces Namespaces
	// Pushes has images pushed whose reference must be final; nil leaves them in their tag form.
	Pushes *Pushes
	// Uncached bypasses the lookup cache, for Reconsider: an image that the kubelet could not pull may be gone since its lookup.
	Uncached lookup.Looker
	// Events takes an Event for each image that a person should hear of; nil for none.
	Events Recorder
	// Identity is the name of this process, with which it answers probes.
	Identity string
}

// Handle answers one request.
func (h *Handler) Handle(ctx context.Context, request *admissionv1.AdmissionRequest) (response *admissionv1.AdmissionResponse) {
	if isProbe(request) {
		return answerProbe(request, h.Identity)
	}
	defer h.Metrics.begin()()
	defer func() {
		if fault := recover(); fault != nil {
			h.Metrics.panics.Inc()
			h.Log.Error(fmt.Errorf("panic: %v", fault), "pod left as it is written",
				"namespace", request.Namespace, "pod", request.Name)
			response = allowed(request)
		}
	}()
	response, err := h.review(ctx, request)
	if err != nil {
		h.Log.Error(err, "pod left as it is written", "namespace", request.Namespace, "pod", request.Name)
		return allowed(request)
	}
	return response
}

// allowed returns the response that lets the request through as it is.
func allowed(request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true}
}

// review decides about every image of the pod in the request, and tells everybody what it decided.
func (h *Handler) review(ctx context.Context, request *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	subject, err := read(request, h.Decider.RegistryHost)
	if err != nil {
		return nil, err
	}
	dryRun := request.DryRun != nil && *request.DryRun
	subject.Labels = h.labels(ctx, request.Namespace)
	subject.Looping = subject.Old == nil && h.Guard.Looping(subject.Pod.Pod, h.Decider.Rules().LoopGuard)
	outcomes := h.Decider.Decide(ctx, subject)
	if !dryRun {
		h.pushFinal(ctx, subject, outcomes)
	}
	for i := range outcomes {
		if subject.unpinnable(outcomes[i].Field) {
			outcomes[i].Decision = outcomes[i].Decision.ByBuild()
		}
	}
	response := allowed(request)
	if err := patch(response, subject, outcomes); err != nil {
		return nil, err
	}
	response.Warnings = warnings(subject, outcomes)
	response.AuditAnnotations = auditAnnotations(outcomes)
	h.Metrics.decided(outcomes)
	h.Journal.Decided(subject, outcomes, dryRun)
	if dryRun {
		return response, nil
	}
	if h.Events != nil {
		announce(h.Events, subject, outcomes)
	}
	return response, nil
}

// Reconsider decides again about fields of a pod that is there and cannot pull their images, by the rules and the images of
// now. What the host no longer has and the registry serves is taken from there. It implements delivery.Decisions.
func (h *Handler) Reconsider(ctx context.Context, pod *podimage.Pod, fields []podimage.Field) []Outcome {
	uncached := *h.Decider
	uncached.Looker, uncached.FromRegistry = h.Uncached, true
	return uncached.Decide(ctx, Subject{
		Pod: pod, Fields: fields, Namespace: pod.Namespace, Labels: h.labels(ctx, pod.Namespace),
		Looping: h.Guard.Looping(pod.Pod, h.Decider.Rules().LoopGuard),
	})
}

// Exclusion returns why the rules that hold now leave the image alone in that pod, or nil: what a pod says of itself, its
// gate and its annotations, anybody may have written. It implements delivery.Decisions.
func (h *Handler) Exclusion(ctx context.Context, pod *podimage.Pod, image string) *rewrite.Refusal {
	return h.Decider.Exclusion(pod, h.labels(ctx, pod.Namespace), image)
}

// errNotAsked is returned for a request that the webhook's configuration does not ask for.
var errNotAsked = errors.New("neither the creation nor an update of a pod, nor of its ephemeral containers")

// read returns the subject of the request.
func read(request *admissionv1.AdmissionRequest, registryHost string) (Subject, error) {
	creation := request.Operation == admissionv1.Create && request.SubResource == ""
	ephemeral := request.SubResource == "ephemeralcontainers"
	update := request.Operation == admissionv1.Update && (ephemeral || request.SubResource == "")
	if request.Resource.Group != "" || request.Resource.Resource != "pods" || !creation && !update {
		return Subject{}, fmt.Errorf("%s of %s %s: %w",
			request.Operation, request.Resource.Resource, request.SubResource, errNotAsked)
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(request.Object.Raw, pod); err != nil {
		return Subject{}, fmt.Errorf("decoding pod: %w", err)
	}
	if creation {
		return Subject{Pod: podimage.Read(pod, registryHost), Namespace: request.Namespace, Fields: podimage.Fields(pod)}, nil
	}
	before := &corev1.Pod{}
	if err := json.Unmarshal(request.OldObject.Raw, before); err != nil {
		return Subject{}, fmt.Errorf("decoding the pod before the update: %w", err)
	}
	old := podimage.Read(before, registryHost)
	subject := Subject{Pod: podimage.ReadUpdate(pod, old), Old: old, Namespace: request.Namespace, Ephemeral: ephemeral}
	if ephemeral {
		subject.Fields = podimage.NewEphemeral(pod, before)
	} else {
		subject.Fields = podimage.Updated(pod, before)
	}
	return subject, nil
}

// labels returns the labels of the namespace, as far as they are known: not to know them denies nobody anything.
func (h *Handler) labels(ctx context.Context, name string) map[string]string {
	if h.Namespaces == nil {
		return nil
	}
	labels, err := h.Namespaces.Labels(ctx, name)
	if err != nil {
		h.Log.Error(err, "labels of the namespace taken for none", "namespace", name)
	}
	return labels
}

// pushFinal waits for the images of fields that nobody pushes or pins later, for a while, and pins those that are there then:
// final ones, and those of a pod that runs.
func (h *Handler) pushFinal(ctx context.Context, subject Subject, outcomes []Outcome) {
	if h.Pushes == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	var pushing sync.WaitGroup
	for i := range outcomes {
		o := &outcomes[i]
		if o.Decision.NeedsPush() && (o.Field.Final || subject.Old != nil && subject.unpinnable(o.Field)) {
			pushing.Go(func() { o.Decision = h.pushOne(ctx, o.Decision) })
		}
	}
	pushing.Wait()
}

// pushOne returns the decision after an attempt to push its image. An error stays with the pushes, which go on.
func (h *Handler) pushOne(ctx context.Context, decision rewrite.Decision) rewrite.Decision {
	decision, _ = decision.AfterPush(h.Pushes.Push(ctx, decision.Pushes()))
	return decision
}
