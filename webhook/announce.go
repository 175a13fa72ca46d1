package webhook

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	// auditKey is the key of the audit annotation; the API server puts the webhook's name before it.
	auditKey = "decisions"
	// longestWarning is the length in characters up to which no client cuts a warning, and mostWarnings how many one answer
	// has (Kubernetes, Dynamic Admission Control).
	longestWarning = 120
	mostWarnings   = 5
	// decideAction is the action of our Events.
	decideAction = "Decide"
)

// Recorder writes Events (k8s.io/client-go/tools/events).
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// warnings returns a warning for each image that the author of the pod should hear of.
func warnings(subject Subject, outcomes []Outcome) []string {
	var all []string
	for _, o := range outcomes {
		text := "is left as it is written"
		switch {
		case o.Decision.NeedsPush() && subject.Old != nil && subject.unpinnable(o.Field):
			text = "is being pushed, the container waits for it"
		case !o.Decision.Reason.Warns():
			continue
		}
		if len(all) == mostWarnings {
			return append(all, "kind-local-registry: there is more to say about other images, see the webhook's log")
		}
		all = append(all, shorten(fmt.Sprintf("kind-local-registry: %s: %s %s", o.Decision.Reason, o.Field.Image, text), longestWarning))
	}
	return all
}

// shorten cuts text to at most the given number of characters.
func shorten(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// auditAnnotations returns the reason of each field.
func auditAnnotations(outcomes []Outcome) map[string]string {
	if len(outcomes) == 0 {
		return nil
	}
	reasons := map[string]string{}
	for _, o := range outcomes {
		reasons[o.Field.Path] = string(o.Decision.Reason)
	}
	value, err := json.Marshal(reasons)
	if err != nil { // a map of strings always is JSON
		return nil
	}
	return map[string]string{auditKey: string(value)}
}

// announce writes an Event for each image that a person should hear of: on the pod's owner, as there is no pod yet, and
// where it has none on the pod that is to come.
func announce(events Recorder, s Subject, outcomes []Outcome) {
	regarding := regardingOf(s)
	for _, o := range outcomes {
		if o.Decision.Reason.Warns() {
			detail := o.Decision.Detail
			if detail != "" {
				detail = ": " + detail
			}
			events.Eventf(regarding, nil, corev1.EventTypeWarning, string(o.Decision.Reason), decideAction,
				"%s of pod %s: %q is left as it is written%.500s", o.Field.Path, displayName(s.Pod.Pod), o.Field.Image, detail)
		}
	}
}

// regardingOf returns what the Events about a pod that is not there yet regard.
func regardingOf(s Subject) *corev1.ObjectReference {
	if owner := metav1.GetControllerOf(s.Pod.Pod); owner != nil {
		return &corev1.ObjectReference{
			APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: s.Namespace, Name: owner.Name, UID: owner.UID,
		}
	}
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: s.Namespace, Name: displayName(s.Pod.Pod), UID: s.Pod.UID,
	}
}
