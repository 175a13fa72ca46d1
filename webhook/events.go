package webhook

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

const (
	// auditKey is the audit annotation's key. The API server prefixes it with the webhook's name.
	auditKey = "decisions"
	// maxWarning is the longest warning, in characters, that no client truncates (Kubernetes, Dynamic Admission Control).
	// maxWarnings is how many warnings about images a response contains at most.
	maxWarning  = 120
	maxWarnings = 5
	// warningPrefix begins each warning.
	warningPrefix = config.Name + ": "
	// decideAction is the action in our Events about decisions.
	decideAction = "Decide"
)

// Recorder writes Events (k8s.io/client-go/tools/events).
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// warnings returns a warning for each image that the pod's author should know about.
func warnings(subject Subject, outcomes []Outcome) []string {
	var all []string
	for _, o := range outcomes {
		text := warning(subject, o)
		if text == "" {
			continue
		}
		if len(all) == maxWarnings {
			return append(all, warningPrefix+"more warnings about other images are in the webhook's log")
		}
		all = append(all, shorten(warningPrefix+text, maxWarning))
	}
	return all
}

// warning returns the warning about one image, without the prefix. It returns "" if there is nothing to warn about.
func warning(subject Subject, o Outcome) string {
	switch {
	case o.Decision.NeedsPush() && subject.Old != nil && subject.unpinnable(o.Field):
		return fmt.Sprintf("%s: %s is being pushed, the container waits for it", o.Decision.Reason, o.Field.Image)
	case o.Decision.Typo:
		return typoWarning(o.Decision)
	case o.Decision.Reason.Warns():
		return fmt.Sprintf("%s: %s keeps its original image", o.Decision.Reason, o.Field.Image)
	}
	return ""
}

// typoWarning returns the warning about an image whose name contains a typing error. If it would be too long, it suggests fewer names,
// or leaves out the wrong name.
func typoWarning(decision rewrite.Decision) string {
	for n := len(decision.Similar); n > 0; n-- {
		text := fmt.Sprintf("the host has no %s; %s", decision.Image, rewrite.DidYouMean(decision.Similar[:n]))
		if len([]rune(warningPrefix+text)) <= maxWarning {
			return text
		}
	}
	return fmt.Sprintf("%s: %s", decision.Reason, rewrite.DidYouMean(decision.Similar[:1]))
}

// shorten truncates text to limit characters.
func shorten(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}

// auditAnnotations returns an audit annotation with the reason for each field's decision.
func auditAnnotations(outcomes []Outcome) map[string]string {
	if len(outcomes) == 0 {
		return nil
	}
	reasons := map[string]string{}
	for _, o := range outcomes {
		reasons[o.Field.Path] = string(o.Decision.Reason)
	}
	value, err := json.Marshal(reasons)
	if err != nil { // a map of strings is always valid JSON
		return nil
	}
	return map[string]string{auditKey: string(value)}
}

// writeEvents writes an Event for each image that the pod's author should know about. The pod does not exist yet, so the Event is
// about the pod's owner, or about the future pod if there is no owner.
func writeEvents(events Recorder, s Subject, outcomes []Outcome) {
	regarding := regardingOf(s)
	for _, o := range outcomes {
		if o.Decision.Reason.Warns() {
			detail := o.Decision.Detail
			if detail != "" {
				detail = ": " + detail
			}
			events.Eventf(regarding, nil, corev1.EventTypeWarning, string(o.Decision.Reason), decideAction,
				"%s of pod %s keeps its original image %q%.500s", o.Field.Path, displayName(s.Pod.Pod), o.Field.Image, detail)
		}
	}
}

// regardingOf returns the object that an Event about a future pod refers to.
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
