//go:build api

package api

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/webhook/uninstall"
)

// The tests of this file take the webhook configuration away, so they are not parallel.

// waiting creates a pod that is gated until the test ends.
func waiting(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pushing := make(chan struct{})
	t.Cleanup(func() { close(pushing) })
	shared.host.have(name, image{pushing: pushing})
	p := create(t, pod(namespace(t), name, "registry.invalid/else:1"))
	if !gated(p) {
		t.Fatal("the pod is not gated")
	}
	return p
}

// installAgain has the chart installed again when the test ends. The API server learns of the configuration a moment later.
func installAgain(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := shared.install(context.Background()); err != nil {
			t.Fatal(err)
		}
		shared.host.have("asked/again:local", image{inRegistry: true})
		await(t, "asked again", func() bool {
			p := pod(metav1.NamespaceDefault, "asked/again:local")
			return shared.Create(context.Background(), p, client.DryRunAll) == nil && images(p) == pinned("asked/again:local")
		})
	})
}

// wantNoConfiguration fails the test if there is a webhook configuration of ours.
func wantNoConfiguration(t *testing.T) {
	t.Helper()
	err := shared.Get(t.Context(), client.ObjectKey{Name: config.Name}, &admissionv1.MutatingWebhookConfiguration{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the webhook configuration: %v, want it gone", err)
	}
}

// withItsRights returns a client with the rights of the chart's ServiceAccount, and no more.
func withItsRights(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(shared.process().access, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExit_ReleaseLetsPodsGoAsTheyWereWritten(t *testing.T) {
	p := waiting(t, "release/app:local")
	installAgain(t)

	released, err := uninstall.Run(t.Context(), withItsRights(t), shared.options.RegistryHost)
	if err != nil || !slices.Contains(released, client.ObjectKeyFromObject(p)) {
		t.Errorf("Release = %v, %v, want the pod among them", released, err)
	}
	eventually(t, p, "free", free)
	wantImages(t, p, "release/app:local", "registry.invalid/else:1")
	wantNoConfiguration(t)
	if released, err := uninstall.Run(t.Context(), withItsRights(t), shared.options.RegistryHost); err != nil || len(released) > 0 {
		t.Errorf("a second Release = %v, %v, want none", released, err)
	}
}

func TestExit_TheNamespacesDeletionLetsPodsGo(t *testing.T) {
	p := waiting(t, "terminating/app:local")
	installAgain(t)
	t.Cleanup(func() { namespaceAgain(t) })
	if err := shared.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: config.Name}}); err != nil {
		t.Fatal(err)
	}

	eventually(t, p, "free", free)
	wantImages(t, p, "terminating/app:local", "registry.invalid/else:1")
	wantNoConfiguration(t)
}

func TestExit_APodThatCannotBeLetGoDoesNotKeepTheOthers(t *testing.T) {
	stuck, p := waiting(t, "stuck/app:local"), waiting(t, "others/app:local")
	installAgain(t)
	refuseUpdates(t, stuck)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()

	released, err := uninstall.Run(ctx, withItsRights(t), shared.options.RegistryHost)
	if !errors.Is(err, uninstall.ErrPodsLeft) || slices.Contains(released, client.ObjectKeyFromObject(stuck)) {
		t.Errorf("Release = %v, %v, want %v and not %s", released, err, uninstall.ErrPodsLeft, client.ObjectKeyFromObject(stuck))
	}
	eventually(t, p, "free", free)
}

// refuseUpdates has the API server refuse every update of pods in the namespace of this one: the webhook that it asks about
// them is not there.
func refuseUpdates(t *testing.T, p *corev1.Pod) {
	t.Helper()
	configuration := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: p.Namespace},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name:                    "refuse.example.com",
			ClientConfig:            admissionv1.WebhookClientConfig{URL: new("https://localhost:1")},
			AdmissionReviewVersions: []string{"v1"},
			SideEffects:             new(admissionv1.SideEffectClassNone),
			FailurePolicy:           new(admissionv1.Fail),
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: p.Namespace}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
	if err := shared.Create(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Delete(context.Background(), configuration); err != nil {
			t.Error(err)
		}
	})
	await(t, "refused", func() bool {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))
		return shared.Patch(t.Context(), p.DeepCopy(), patch, client.DryRunAll) != nil
	})
}

// namespaceAgain makes our namespace anew, after ending what nothing here ends: its deletion.
func namespaceAgain(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	terminating := &corev1.Namespace{}
	if err := shared.Get(ctx, client.ObjectKey{Name: config.Name}, terminating); err != nil {
		t.Fatal(err)
	}
	terminating.Spec.Finalizers = nil
	if err := shared.SubResource("finalize").Update(ctx, terminating); err != nil {
		t.Fatal(err)
	}
	if err := shared.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: config.Name}}); err != nil {
		t.Fatal(err)
	}
}

func TestExit_WhatIsOutsideTheNamespaceGoesWithIt(t *testing.T) {
	owner := &corev1.Namespace{}
	if err := shared.Get(t.Context(), client.ObjectKey{Name: config.Name}, owner); err != nil {
		t.Fatal(err)
	}
	want := metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: config.Name, UID: owner.UID}
	owned := func(object client.Object) func() bool {
		return func() bool {
			if err := shared.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
				t.Fatal(err)
			}
			return slices.Equal(object.GetOwnerReferences(), []metav1.OwnerReference{want})
		}
	}
	called := metav1.ObjectMeta{Name: config.Name}
	objects := []client.Object{
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: called}, &rbacv1.ClusterRole{ObjectMeta: called},
		&rbacv1.ClusterRoleBinding{ObjectMeta: called},
	}
	for _, name := range []string{config.PodPolicy, config.RightsPolicy} {
		meta := metav1.ObjectMeta{Name: name}
		objects = append(objects, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta},
			&admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta})
	}
	for _, object := range objects {
		await(t, "owned by the namespace", owned(object))
	}
	if err := shared.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if !owned(object)() {
			t.Errorf("owners of %T after an upgrade = %v, want the namespace", object, object.GetOwnerReferences())
		}
	}
}
