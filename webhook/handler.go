package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/lookup"
	"kind-local-registry/webhook/podimage"
)

// Path is the webhook's URL path for pods, workloads and probes. The API server pools connections by path, so probes use the same
// connections as the calls for pods.
const Path = "/pods"

// Namespaces returns a namespace's labels.
type Namespaces interface {
	Labels(ctx context.Context, name string) (map[string]string, error)
}

// Handler answers admission requests that create or update pods, add ephemeral containers, create or update workloads, or probe the
// webhook. It never denies a request.
type Handler struct {
	// Decider decides about each image.
	Decider *Decider
	// Journal logs the decisions. Log is used for errors.
	Journal *Journal
	Log     logr.Logger
	// Metrics counts requests and decisions.
	Metrics *Metrics
	// Guard detects owners that recreate their pods over and over.
	Guard *LoopGuard
	// Namespaces returns the labels of the pod's namespace. If it is nil, every namespace is treated as having no labels.
	Namespaces Namespaces
	// Promises promises images before they are pushed; nil to push every image first.
	Promises *Promises
	// Pushes pushes images whose references cannot change later. If it is nil, nothing waits for a push and such a reference is
	// rewritten without a digest.
	Pushes *Pushes
	// Uncached bypasses the lookup cache. Reconsider and Current use it because the image may have changed since its lookup.
	Uncached lookup.Looker
	// Events records an Event for each image that the pod's author should know about. If it is nil, no Events are recorded.
	Events Recorder
	// Identity names this process in the answers to probes.
	Identity string
}

// Handle answers one request.
func (h *Handler) Handle(ctx context.Context, request *admissionv1.AdmissionRequest) (response *admissionv1.AdmissionResponse) {
	if isProbe(request) {
		return answerProbe(request, h.Identity)
	}
	if isOwnUpdate(request) {
		return allowed(request)
	}
	defer h.Metrics.begin()()
	defer func() {
		if fault := recover(); fault != nil {
			h.Metrics.panics.Inc()
			response = h.allowedAfter(fmt.Errorf("panic: %v", fault), request)
		}
	}()
	review := h.review
	if isWorkload(request) {
		review = h.reviewWorkload
	}
	response, err := review(ctx, request)
	if err != nil {
		return h.allowedAfter(err, request)
	}
	return response
}

// allowedAfter logs an error and returns the response that allows the request unchanged.
func (h *Handler) allowedAfter(err error, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	key, object := "pod", request.Name
	if isWorkload(request) {
		key, object = "workload", strings.ToLower(request.Kind.Kind)+"/"+request.Name
	}
	h.Log.Error(err, "request allowed unchanged", "namespace", request.Namespace, key, object)
	return allowed(request)
}

// isOwnUpdate reports whether the webhook itself updates a pod, for example to restore an original image. The match conditions of the
// webhook configuration exclude such requests, but Kubernetes 1.27 has no match conditions.
func isOwnUpdate(request *admissionv1.AdmissionRequest) bool {
	return request.Operation == admissionv1.Update && request.SubResource == "" && request.UserInfo.Username == config.ServiceAccountUser()
}

// allowed returns the response that allows the request unchanged.
func allowed(request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true}
}

// review decides about every image of the pod in the request, reports the decisions and returns the response.
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
		h.deliver(ctx, subject, outcomes)
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
		writeEvents(h.Events, subject, outcomes)
	}
	return response, nil
}

// Reconsider decides again about fields of an existing pod whose images cannot be pulled. It uses the registry's image if the
// host no longer has it. It implements delivery.Decisions.
func (h *Handler) Reconsider(ctx context.Context, pod *podimage.Pod, fields []podimage.Field) []Outcome {
	return h.decideUncached(ctx, pod, fields, true)
}

// Current decides again about fields of a running pod, by the images that the host has now. It implements restart.Decisions.
func (h *Handler) Current(ctx context.Context, pod *podimage.Pod, fields []podimage.Field) []Outcome {
	return h.decideUncached(ctx, pod, fields, false)
}

// decideUncached decides about fields of an existing pod without the lookup cache.
func (h *Handler) decideUncached(ctx context.Context, pod *podimage.Pod, fields []podimage.Field, fromRegistry bool) []Outcome {
	uncached := *h.Decider
	uncached.Looker, uncached.FromRegistry = h.Uncached, fromRegistry
	return uncached.Decide(ctx, Subject{
		Pod: pod, Fields: fields, Namespace: pod.Namespace, Labels: h.labels(ctx, pod.Namespace),
		Looping: h.Guard.Looping(pod.Pod, h.Decider.Rules().LoopGuard),
	})
}

// Exclusion returns why the current rules exclude the image in that pod, or nil if they do not. The pod's gate and annotations do
// not show that its images may be pushed, because any user can write them. It implements delivery.Decisions.
func (h *Handler) Exclusion(ctx context.Context, pod *podimage.Pod, image string) *rewrite.Refusal {
	return h.Decider.Exclusion(pod, h.labels(ctx, pod.Namespace), image)
}

// errUnexpected is returned for a request that the webhook configuration should not have selected.
var errUnexpected = errors.New("only the creation or update of a pod or of its ephemeral containers is expected")

// read returns the subject of the request.
func read(request *admissionv1.AdmissionRequest, registryHost string) (Subject, error) {
	creation := request.Operation == admissionv1.Create && request.SubResource == ""
	ephemeral := request.SubResource == "ephemeralcontainers"
	update := request.Operation == admissionv1.Update && (ephemeral || request.SubResource == "")
	if request.Resource.Group != "" || request.Resource.Resource != "pods" || !creation && !update {
		return Subject{}, fmt.Errorf("%s of %s %s: %w",
			request.Operation, request.Resource.Resource, request.SubResource, errUnexpected)
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

// labels returns the namespace's labels. If they cannot be read, it returns none, so that the request does not fail.
func (h *Handler) labels(ctx context.Context, name string) map[string]string {
	if h.Namespaces == nil {
		return nil
	}
	labels, err := h.Namespaces.Labels(ctx, name)
	if err != nil {
		h.Log.Error(err, "namespace labels unknown, treated as none", "namespace", name)
	}
	return labels
}

// deliver promises images, and pushes those that were not promised and cannot be pinned later. It takes at most pushTime.
func (h *Handler) deliver(ctx context.Context, subject Subject, outcomes []Outcome) {
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	h.Promises.promise(ctx, outcomes)
	h.pushFinal(ctx, subject, outcomes)
}

// pushFinal pushes the images that cannot be pinned after this request. It waits until ctx ends at the latest, and then pins the
// images that have been pushed.
func (h *Handler) pushFinal(ctx context.Context, subject Subject, outcomes []Outcome) {
	if h.Pushes == nil {
		return
	}
	var pushing sync.WaitGroup
	for i := range outcomes {
		o := &outcomes[i]
		if o.Decision.NeedsPush() && (o.Field.Final || subject.Old != nil && subject.unpinnable(o.Field)) {
			pushing.Go(func() { o.Decision = h.pushOne(ctx, o.Decision) })
		}
	}
	pushing.Wait()
}

// pushOne pushes the decision's image and returns the updated decision. If ctx ends first, the push continues.
func (h *Handler) pushOne(ctx context.Context, decision rewrite.Decision) rewrite.Decision {
	decision, _ = decision.AfterPush(h.Pushes.Push(ctx, decision.Pushes()))
	return decision
}
