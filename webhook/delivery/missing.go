package delivery

import (
	"context"
	"crypto/sha256"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

// reportMissing writes a Warning Event about each image that the kubelet cannot pull and that the host does not have either. The Event
// suggests similar tags of the host. Fields whose original image is about to be restored are left out, because they get another Event.
func (r *Reconciler) reportMissing(ctx context.Context, pod *podimage.Pod, outcomes []webhook.Outcome) {
	for _, o := range outcomes {
		if o.Decision.Reason != rewrite.NotOnHost || lost(pod, o) {
			continue
		}
		err := r.Client.Create(ctx, missingEvent(pod.Pod, o))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			log.FromContext(ctx).Error(err, "missing image not reported", "field", o.Field.Path, "image", o.Field.Image)
		}
	}
}

// missingEvent returns the Event about an image that the host does not have. Its name is always the same for one pod and one image, so
// the API server accepts it only once, no matter how often the kubelet fails or which replica writes it.
func missingEvent(pod *corev1.Pod, o webhook.Outcome) *eventsv1.Event {
	note := "The host has no " + o.Decision.Image
	if suggestion := rewrite.DidYouMean(o.Decision.Similar); suggestion != "" {
		note += "; " + suggestion
	}
	id := sha256.Sum256([]byte(string(pod.UID) + "/" + o.Decision.Image))
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: pod.Namespace, Name: fmt.Sprintf("%s.%x", config.Name, id[:8])},
		EventTime:           metav1.NowMicro(),
		ReportingController: config.Name,
		ReportingInstance:   config.Name, // any replica
		Type:                corev1.EventTypeWarning,
		Reason:              string(rewrite.NotOnHost),
		Action:              pull,
		Note:                fmt.Sprintf("%.1000s", note),
		Regarding:           *reference(pod, o.Field.Path),
	}
}
