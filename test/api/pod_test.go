//go:build api

package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
)

// patience is how long a test waits for an action that normally takes the delivery controller milliseconds.
const patience = 20 * time.Second

// newNamespace creates a namespace for one test.
func newNamespace(t *testing.T) string {
	t.Helper()
	created := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := shared.Create(t.Context(), created); err != nil {
		t.Fatal(err)
	}
	return created.Name
}

// pod returns a pod with the given images, but does not create it.
func pod(namespace string, images ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pod"}}
	for i, image := range images {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	return p
}

// create creates the pod on the API server and returns it.
func create(t *testing.T, p *corev1.Pod, options ...client.CreateOption) *corev1.Pod {
	t.Helper()
	if err := shared.Create(t.Context(), p, options...); err != nil {
		t.Fatalf("creating pod: %v", err)
	}
	return p
}

// eventually reads the pod until the condition is true. It fails the test if this takes longer than the time limit (patience).
func eventually(t *testing.T, p *corev1.Pod, what string, condition func(*corev1.Pod) bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if err := shared.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			t.Fatal(err)
		}
		if condition(p) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the pod is not %s within %s:\nimages %v\ngates %v", what, patience, images(p), p.Spec.SchedulingGates)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ungated reports whether the pod does not have our gate.
func ungated(p *corev1.Pod) bool { return !gated(p) }

// gated reports whether the pod has our gate.
func gated(p *corev1.Pod) bool {
	for _, g := range p.Spec.SchedulingGates {
		if g.Name == config.Gate {
			return true
		}
	}
	return false
}

// images returns the images of the pod's init containers, followed by those of its containers.
func images(p *corev1.Pod) string {
	var all []string
	for _, c := range append(p.Spec.InitContainers[:len(p.Spec.InitContainers):len(p.Spec.InitContainers)], p.Spec.Containers...) {
		all = append(all, c.Image)
	}
	return strings.Join(all, " ")
}

// pinned returns the image's rewritten reference, which contains the digest.
func pinned(image string) string { return "localhost:5001/" + image + "@" + digestOf(image) }

// wantImages fails the test unless the pod has exactly these images.
func wantImages(t *testing.T, p *corev1.Pod, want ...string) {
	t.Helper()
	if got, want := images(p), strings.Join(want, " "); got != want {
		t.Errorf("images = %s, want %s", got, want)
	}
}

// wantEvent fails the test unless the pod gets an Event with the given type and reason, and with the given text in its note.
func wantEvent(t *testing.T, p *corev1.Pod, kind, reason, note string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		var events eventsv1.EventList
		if err := shared.List(t.Context(), &events, client.InNamespace(p.Namespace)); err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			if e.Type == kind && e.Reason == reason && e.Regarding.UID == p.UID && strings.Contains(e.Note, note) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s Event %s with %q among %v", kind, reason, note, events.Items)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
