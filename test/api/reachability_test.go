//go:build api

package api

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/webhook/reachability"
)

// awaitReady waits until the webhook is reachable, as the chart's Job does, and with the rights of the Job's ServiceAccount. It
// gives up after limit.
func awaitReady(t *testing.T, limit time.Duration) (answeredBy string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return reachability.Await(ctx, reachability.Options{
		Cluster: shared.process().access, Namespace: config.Name, Need: 5, Report: func(line string) { t.Log(line) },
	})
}

// withoutProcess runs step while the process is stopped. Tests that use it are not parallel.
func withoutProcess(t *testing.T, step func()) {
	t.Helper()
	if err := shared.stop(); err != nil {
		t.Fatal(err)
	}
	step()
	stop, err := startProcess(shared.process())
	if err != nil {
		t.Fatal(err)
	}
	shared.stop = stop
}

func TestReachability_NextPodIsRewritten(t *testing.T) {
	shared.host.add("ready/app:local", image{inRegistry: true})
	ns := newNamespace(t)
	withoutProcess(t, func() {})
	answeredBy, err := awaitReady(t, patience)
	if err != nil || answeredBy == "" {
		t.Fatalf("Await() = %q, %v, want a name and no error", answeredBy, err)
	}
	wantImages(t, create(t, pod(ns, "ready/app:local")), pinned("ready/app:local"))
	var stored corev1.ConfigMapList
	if err := shared.List(t.Context(), &stored, client.InNamespace(config.Name), client.HasLabels{config.ProbeLabel}); err != nil {
		t.Fatal(err)
	}
	if len(stored.Items) != 0 {
		t.Errorf("%d probes are stored, want 0", len(stored.Items))
	}
}

func TestReachability_ReportsWhyNoCallArrives(t *testing.T) {
	withoutProcess(t, func() {
		_, err := awaitReady(t, 3*time.Second)
		for _, want := range []string{"0 of 5 consecutive calls reached the webhook within 3s", config.ProbeWebhookName, "connection refused"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Await() = %v, want an error with %q", err, want)
			}
		}
	})
}

func TestReachability_ReportsAMissingWebhookConfiguration(t *testing.T) {
	found := configuration(t)
	if err := shared.Delete(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	_, err := awaitReady(t, 3*time.Second)
	if err := shared.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err == nil || !strings.Contains(err.Error(), "did not call the webhook") {
		t.Errorf("Await() = %v, want an error with \"did not call the webhook\"", err)
	}
	if _, err := awaitReady(t, patience); err != nil {
		t.Errorf("Await() with the configuration again = %v", err)
	}
}

func TestReachability_AllowsOtherConfigMapsWithoutTheProcess(t *testing.T) {
	ns := newNamespace(t)
	withoutProcess(t, func() {
		for name, created := range map[string]metav1.ObjectMeta{
			"in our namespace, without the label":  {Namespace: config.Name, Name: "other"},
			"with the label, in another namespace": {Namespace: ns, Name: "other", Labels: map[string]string{config.ProbeLabel: "true"}},
		} {
			if err := shared.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: created}, client.DryRunAll); err != nil {
				t.Errorf("creating a ConfigMap %s: %v, want no error", name, err)
			}
		}
	})
}
