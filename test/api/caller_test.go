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

// path returns the path with the token that the Secret has.
func path(t *testing.T) string {
	t.Helper()
	secret := &corev1.Secret{}
	if err := shared.Get(t.Context(), client.ObjectKey{Namespace: config.Name, Name: config.ServingSecret}, secret); err != nil {
		t.Fatal(err)
	}
	return "/pods/" + string(secret.Data["token"])
}

// called reports whether the API server calls that path for every webhook.
func called(t *testing.T, path string) bool {
	t.Helper()
	for _, asked := range configuration(t).Webhooks {
		if !strings.HasSuffix(*asked.ClientConfig.URL, path) {
			return false
		}
	}
	return true
}

// It takes the path away, so it is not parallel.
func TestCaller_IsKnownAgainWhenThePathIsWiped(t *testing.T) {
	want := path(t)
	await(t, "published", func() bool { return called(t, want) })
	changed := configuration(t)
	for i := range changed.Webhooks {
		changed.Webhooks[i].ClientConfig.URL = new(fmt.Sprintf("https://localhost:%d/pods", shared.options.WebhookPort))
	}
	if err := shared.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	await(t, "published again", func() bool { return called(t, want) })
	if got := path(t); got != want {
		t.Errorf("the path is now %s, want %s", got, want)
	}
}

// The API server tests the path of a Service more strictly than that of a URL.
func TestCaller_HasAPathThatAServiceMayHave(t *testing.T) {
	t.Parallel()
	name := namespace(t)
	asked := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name: "test.kind-local-registry.dev", AdmissionReviewVersions: []string{"v1"},
			SideEffects: new(admissionv1.SideEffectClassNone),
			ClientConfig: admissionv1.WebhookClientConfig{
				Service: &admissionv1.ServiceReference{Namespace: name, Name: name, Path: new(path(t))},
			},
		}},
	}
	if err := shared.Create(t.Context(), asked, client.DryRunAll); err != nil {
		t.Error(err)
	}
}

func TestCaller_ThatIsAPodGetsAnAnswerAndCausesNothing(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	shared.host.have("forged/app:local", image{inRegistry: true})
	shared.host.have("forged/volume:local", image{})
	shared.host.have("forged/unfit:local", image{unfit: rewrite.WrongPlatform})
	review := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"some-uid","operation":"CREATE",
		"resource":{"version":"v1","resource":"pods"},"namespace":"` + ns + `","object":{"metadata":{"name":"forged"},"spec":{
		"containers":[{"name":"a","image":"forged/app:local"},{"name":"b","image":"forged/unfit:local"}],
		"volumes":[{"name":"v","image":{"reference":"forged/volume:local"}}]}}}}`
	anyone := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // #nosec G402 -- as a pod that trusts anyone
	}}
	t.Cleanup(anyone.CloseIdleConnections)
	for _, path := range []string{"/pods", "/pods/abcdefghijklmnopqrstuvwxyz"} {
		answer, err := anyone.Post(fmt.Sprintf("https://localhost:%d%s", shared.options.WebhookPort, path), "application/json", strings.NewReader(review))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: status %s, want an answer", path, answer.Status)
		}
	}
	// Events are written in order: that of a pod which the API server asks about comes after those of the others.
	admitted := create(t, pod(ns, "forged/unfit:local"))
	var events eventsv1.EventList
	await(t, "told of", func() bool {
		if err := shared.List(t.Context(), &events, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
		return len(events.Items) > 0
	})
	for _, event := range events.Items {
		if event.Regarding.Name != admitted.Name {
			t.Errorf("there is an Event about %s: %s", event.Regarding.Name, event.Note)
		}
	}
	if n := shared.host.pushed("forged/volume:local"); n != 0 {
		t.Errorf("the image was pushed %d times, want not at all", n)
	}
}
