//go:build api

package api

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

// webhookPath returns the webhook's path, which ends with the token from the webhook's Secret.
func webhookPath(t *testing.T) string {
	t.Helper()
	secret := &corev1.Secret{}
	if err := shared.Get(t.Context(), client.ObjectKey{Namespace: config.Name, Name: config.ServingSecret}, secret); err != nil {
		t.Fatal(err)
	}
	return "/pods/" + string(secret.Data["token"])
}

// callsPath reports whether the API server calls every webhook in the configuration at the path.
func callsPath(t *testing.T, path string) bool {
	t.Helper()
	for _, webhook := range configuration(t).Webhooks {
		if !strings.HasSuffix(*webhook.ClientConfig.URL, path) {
			return false
		}
	}
	return true
}

// This test removes the path, so it is not parallel.
func TestCaller_PathIsRepublishedWhenItIsWiped(t *testing.T) {
	want := webhookPath(t)
	await(t, "published", func() bool { return callsPath(t, want) })
	changed := configuration(t)
	for i := range changed.Webhooks {
		changed.Webhooks[i].ClientConfig.URL = new(fmt.Sprintf("https://localhost:%d/pods", shared.options.WebhookPort))
	}
	if err := shared.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	await(t, "republished", func() bool { return callsPath(t, want) })
	if got := webhookPath(t); got != want {
		t.Errorf("path = %s, want %s", got, want)
	}
}

// The API server validates a Service's path more strictly than a URL's path.
func TestCaller_PathIsValidForAService(t *testing.T) {
	t.Parallel()
	name := newNamespace(t)
	webhook := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name: "test.kind-local-registry.dev", AdmissionReviewVersions: []string{"v1"},
			SideEffects: new(admissionv1.SideEffectClassNone),
			ClientConfig: admissionv1.WebhookClientConfig{
				Service: &admissionv1.ServiceReference{Namespace: name, Name: name, Path: new(webhookPath(t))},
			},
		}},
	}
	if err := shared.Create(t.Context(), webhook, client.DryRunAll); err != nil {
		t.Error(err)
	}
}

func TestCaller_StrangerIsAnsweredWithoutEventOrPush(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	shared.host.add("forged/app:local", image{inRegistry: true})
	shared.host.add("forged/volume:local", image{})
	shared.host.add("forged/refused:local", image{lookupRefusal: rewrite.WrongPlatform})
	review := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"some-uid","operation":"CREATE",
		"resource":{"version":"v1","resource":"pods"},"namespace":"` + ns + `","object":{"metadata":{"name":"forged"},"spec":{
		"containers":[{"name":"a","image":"forged/app:local"},{"name":"b","image":"forged/refused:local"}],
		"volumes":[{"name":"v","image":{"reference":"forged/volume:local"}}]}}}}`
	stranger := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // #nosec G402 -- a pod that calls the webhook does not know its CA
	}}
	t.Cleanup(stranger.CloseIdleConnections)
	for _, path := range []string{"/pods", "/pods/abcdefghijklmnopqrstuvwxyz"} {
		answer, err := stranger.Post(fmt.Sprintf("https://localhost:%d%s", shared.options.WebhookPort, path), "application/json", strings.NewReader(review))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("POST %s: status %s, want 200 OK", path, answer.Status)
		}
	}
	// Events are written in order. A pod that is created only now gets its Event after any Events about the forged reviews.
	admitted := create(t, pod(ns, "forged/refused:local"))
	var events eventsv1.EventList
	await(t, "reported by an Event", func() bool {
		if err := shared.List(t.Context(), &events, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
		return len(events.Items) > 0
	})
	for _, event := range events.Items {
		if event.Regarding.Name != admitted.Name {
			t.Errorf("got an Event about %s: %s, want none", event.Regarding.Name, event.Note)
		}
	}
	if n := shared.host.pushesBegun("forged/volume:local"); n != 0 {
		t.Errorf("the image was pushed %d times, want 0", n)
	}
}
