//go:build api

package api

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/webhook/app"
)

func TestRestart_LeavesWorkloadsUnchanged(t *testing.T) {
	t.Parallel()
	image := builds("restart/unchanged:local")
	ns := newNamespace(t)
	for name, tt := range map[string]struct {
		workload client.Object
		note     string // of the Event; "" for none
	}{
		"does not ask":    {newDeployment(ns, "plain", image), ""},
		"another image":   {asksForRestarts(newDeployment(ns, "other", builds("restart/other:local"))), ""},
		"paused":          {paused(asksForRestarts(newDeployment(ns, "paused", image))), "it is paused"},
		"owned":           {owned(t, asksForRestarts(newDeployment(ns, "owned", image))), "ConfigMap operator owns it"},
		"OnDelete":        {onDelete(asksForRestarts(newStatefulSet(ns, "on-delete", image))), "OnDelete"},
		"OnDelete daemon": {onDeleteDaemon(asksForRestarts(newDaemonSet(ns, "daemon", image))), "OnDelete"},
	} {
		createWorkload(t, tt.workload)
		defer func() {
			read(t, tt.workload)
			if got := templateIn(tt.workload).Annotations; len(got) > 0 {
				t.Errorf("%s: annotations of the template = %v, want none", name, got)
			}
			if tt.note != "" {
				wantWorkloadEvent(t, tt.workload, skippedReason, tt.note)
			} else if found := workloadEvents(t, tt.workload); len(found) > 0 {
				t.Errorf("%s: Events %v, want none", name, found)
			}
		}()
	}
	witness := newWitness(t, ns, image)
	shared.host.rebuild(image, "2")
	wantRestart(t, witness) // the last one to be checked
}

// paused, owned, onDelete and onDeleteDaemon return the workload in a state in which it is not restarted.
func paused(d *appsv1.Deployment) *appsv1.Deployment { d.Spec.Paused = true; return d }

func onDelete(s *appsv1.StatefulSet) *appsv1.StatefulSet {
	s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
	return s
}

func onDeleteDaemon(d *appsv1.DaemonSet) *appsv1.DaemonSet {
	d.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	return d
}

func owned(t *testing.T, d *appsv1.Deployment) *appsv1.Deployment {
	t.Helper()
	operator := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: "operator"}}
	if err := shared.Create(t.Context(), operator); err != nil {
		t.Fatal(err)
	}
	d.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "ConfigMap", Name: operator.Name, UID: operator.UID, Controller: new(true),
	}}
	return d
}

func TestRestart_ContinuesWhenADeploymentIsResumed(t *testing.T) {
	t.Parallel()
	image := builds("restart/resumed:local")
	d := paused(asksForRestarts(newDeployment(newNamespace(t), "web", image)))
	createWorkload(t, d)
	shared.host.rebuild(image, "2")
	wantWorkloadEvent(t, d, skippedReason, "paused")
	read(t, d)
	change(t, d, func() { d.Spec.Paused = false })
	completeRollout(t, d)
	read(t, d)
	wantRestart(t, d)
}

func TestRestart_WaitsForARolloutByAnother(t *testing.T) {
	t.Parallel()
	image := builds("restart/rolling:local")
	ns := newNamespace(t)
	rolling, witness := asksForRestarts(newDeployment(ns, "rolling", image)), newWitness(t, ns, image)
	createWorkload(t, rolling)
	change(t, rolling, func() { rolling.Spec.Template.Labels["theirs"] = "a" })
	startRollout(t, rolling)
	shared.host.rebuild(image, "2")
	wantNoRestart(t, rolling, witness)
	wantWorkloadEvent(t, rolling, skippedReason, "its rollout is not complete")
	completeRollout(t, rolling)
	wantRestart(t, rolling)
}

func TestRestart_LeavesATagThatMovedBackUnchanged(t *testing.T) {
	image := builds("restart/back:local")
	ns := newNamespace(t)
	d := asksForRestarts(newDeployment(ns, "web", image))
	createWorkload(t, d)
	witnessed := builds("restart/back-witness:local")
	witness := newWitness(t, ns, witnessed)
	withoutProcess(t, func() {
		shared.host.rebuild(image, "2")
		shared.host.rebuild(image, "1")
		shared.host.rebuild(witnessed, "2")
	})
	wantNoRestart(t, d, witness)
}

func TestRestart_ObeysTheRules(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	document := "images: {exclude: [rules/never]}\nrestartOnRebuild: {images: {exclude: [rules/rewritten]}}\n"
	if err := os.WriteFile(rules, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	ns := newNamespace(t)
	never := asksForRestarts(newDeployment(ns, "never", builds("rules/never:local")))
	kept := asksForRestarts(newDeployment(ns, "kept", builds("rules/rewritten:local")))
	witnessed := builds("rules/witness:local")
	witness := newWitness(t, ns, witnessed)
	createWorkload(t, never)
	createWorkload(t, kept)
	shared.replaceProcess(t, func(p *process) {
		opened, err := app.OpenRules(rules, logr.Discard())
		if err != nil {
			t.Fatal(err)
		}
		p.options.Rules = opened
	})
	for _, image := range []string{"rules/never:local", "rules/rewritten:local", witnessed} {
		shared.host.rebuild(image, "2")
	}
	wantNoRestart(t, never, witness)
	wantNoRestart(t, kept, witness)
	wantWorkloadEvent(t, never, skippedReason, `images.exclude "rules/never"`)
	wantWorkloadEvent(t, kept, skippedReason, `restartOnRebuild.images.exclude "rules/rewritten"`)
}
