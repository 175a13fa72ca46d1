//go:build api

package api

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/internal/rewrite"
)

func TestAdmission_StopsRewritingForAnOperatorThatComparesImages(t *testing.T) {
	t.Parallel()
	shared.host.add("loop/db:local", image{inRegistry: true})
	ns := newNamespace(t)
	operator := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "operator"}}
	if err := shared.Create(t.Context(), operator); err != nil {
		t.Fatal(err)
	}
	// The test acts like an operator that compares images: it deletes and recreates every pod whose image is not the original.
	for recreations := range 20 {
		p := pod(ns, "loop/db:local")
		p.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "ConfigMap", Name: operator.Name, UID: operator.UID, Controller: new(true),
		}}
		if create(t, p); images(p) == "loop/db:local" {
			if recreations != 6 {
				t.Errorf("not rewritten after %d recreations, want 6", recreations)
			}
			wantOwnerEvent(t, operator, "LoopGuard")
			return
		}
		if err := shared.Delete(t.Context(), p, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
	t.Error("the pod is rewritten after 20 recreations, want the original image")
}

func TestAdmission_WarnsThePodsOwnerOfAWrongPlatform(t *testing.T) {
	t.Parallel()
	shared.host.add("event/app:local", image{lookupRefusal: rewrite.WrongPlatform})
	ns := newNamespace(t)
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "owner"}}
	if err := shared.Create(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	p := pod(ns, "event/app:local")
	p.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, Controller: new(true),
	}}
	wantImages(t, create(t, p), "event/app:local")
	wantOwnerEvent(t, owner, "WrongPlatform")
}

// wantOwnerEvent fails the test unless the owner gets a Warning Event with the reason.
func wantOwnerEvent(t *testing.T, owner *corev1.ConfigMap, reason string) {
	t.Helper()
	await(t, "reported by an Event", func() bool {
		var events eventsv1.EventList
		if err := shared.List(t.Context(), &events, client.InNamespace(owner.Namespace)); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
			return e.Type == corev1.EventTypeWarning && e.Reason == reason && e.Regarding.UID == owner.UID
		})
	})
}

// maxAddedLatency limits the 99th percentile of the time that the webhook adds to creating a pod.
const maxAddedLatency = 20 * time.Millisecond

// This test measures time, so it is not parallel.
func TestAdmission_AddsLittleLatency(t *testing.T) {
	shared.host.add("time/app:local", image{inRegistry: true})
	ns := newNamespace(t)
	const pods = 1000
	var with, without []time.Duration
	for range pods { // create the two kinds of pods alternately, so that the load is the same for both
		eligible := pod(ns, "time/app:local", "registry.invalid/else:1")
		eligible.Name, eligible.GenerateName = "", "eligible-"
		with = append(with, timeCreate(t, eligible))
		wantImages(t, eligible, pinned("time/app:local"), "registry.invalid/else:1")

		exempt := pod("kube-system", "time/app:local", "registry.invalid/else:1")
		exempt.Name, exempt.GenerateName = "", "exempt-"
		without = append(without, timeCreate(t, exempt))
		wantImages(t, exempt, "time/app:local", "registry.invalid/else:1")
	}
	var list corev1.PodList
	if err := shared.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != pods {
		t.Errorf("%d pods exist, want %d", len(list.Items), pods)
	}
	slices.Sort(with)
	slices.Sort(without)
	p99 := with[pods*99/100] - without[pods*99/100]
	t.Logf("creating a pod takes %s with the webhook and %s without (median); p99 %s and %s: %s added",
		with[pods/2], without[pods/2], with[pods*99/100], without[pods*99/100], p99)
	if p99 > maxAddedLatency {
		t.Errorf("added latency (p99) = %s, want at most %s", p99, maxAddedLatency)
	}
}
