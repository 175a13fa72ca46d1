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
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/webhook/uninstall"
)

// The tests in this file delete the webhook configuration, so they are not parallel.

// createGated creates a pod that stays gated until the test ends.
func createGated(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	unblock := make(chan struct{})
	t.Cleanup(func() { close(unblock) })
	shared.host.add(name, image{unblock: unblock})
	p := create(t, pod(newNamespace(t), name, "registry.invalid/else:1"))
	if !gated(p) {
		t.Fatal("the pod is not gated")
	}
	return p
}

// reinstallAfterwards installs the chart again when the test ends, and waits until the API server calls the webhook.
func reinstallAfterwards(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := shared.install(context.Background()); err != nil {
			t.Fatal(err)
		}
		shared.host.add("reinstalled/app:local", image{inRegistry: true})
		await(t, "called by the API server again", func() bool {
			p := pod(metav1.NamespaceDefault, "reinstalled/app:local")
			return shared.Create(context.Background(), p, client.DryRunAll) == nil && images(p) == pinned("reinstalled/app:local")
		})
	})
}

// wantNoConfiguration fails the test if our webhook configuration exists.
func wantNoConfiguration(t *testing.T) {
	t.Helper()
	err := shared.Get(t.Context(), client.ObjectKey{Name: config.Name}, &admissionv1.MutatingWebhookConfiguration{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("getting the webhook configuration: %v, want not found", err)
	}
}

// webhookClient returns a client that has only the rights of the webhook's ServiceAccount.
func webhookClient(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(shared.process().access, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestUninstall_UngatesPodsWithTheirOriginalImages(t *testing.T) {
	p := createGated(t, "uninstall/app:local")
	reinstallAfterwards(t)

	ungatedPods, err := uninstall.Run(t.Context(), webhookClient(t), shared.options.RegistryHost)
	if err != nil || !slices.Contains(ungatedPods, client.ObjectKeyFromObject(p)) {
		t.Errorf("uninstall.Run() = %v, %v, want the pod to be one of them", ungatedPods, err)
	}
	eventually(t, p, "ungated", ungated)
	wantImages(t, p, "uninstall/app:local", "registry.invalid/else:1")
	wantNoConfiguration(t)
	if again, err := uninstall.Run(t.Context(), webhookClient(t), shared.options.RegistryHost); err != nil || len(again) > 0 {
		t.Errorf("second uninstall.Run() = %v, %v, want no pod", again, err)
	}
}

func TestUninstall_NamespaceDeletionUngatesPods(t *testing.T) {
	p := createGated(t, "terminating/app:local")
	reinstallAfterwards(t)
	t.Cleanup(func() { recreateNamespace(t) })
	if err := shared.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: config.Name}}); err != nil {
		t.Fatal(err)
	}

	eventually(t, p, "ungated", ungated)
	wantImages(t, p, "terminating/app:local", "registry.invalid/else:1")
	wantNoConfiguration(t)
}

func TestUninstall_OneStuckPodDoesNotBlockTheOthers(t *testing.T) {
	stuck, p := createGated(t, "stuck/app:local"), createGated(t, "others/app:local")
	reinstallAfterwards(t)
	refuseUpdates(t, stuck)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()

	ungatedPods, err := uninstall.Run(ctx, webhookClient(t), shared.options.RegistryHost)
	if !errors.Is(err, uninstall.ErrPodsLeft) || slices.Contains(ungatedPods, client.ObjectKeyFromObject(stuck)) {
		t.Errorf("uninstall.Run() = %v, %v, want %v without %s", ungatedPods, err, uninstall.ErrPodsLeft, client.ObjectKeyFromObject(stuck))
	}
	eventually(t, p, "ungated", ungated)
}

// refuseUpdates registers an unreachable validating webhook, so that the API server refuses every pod update in the pod's
// namespace.
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

// recreateNamespace finishes deleting our namespace, which no controller does here. It then creates the namespace again.
func recreateNamespace(t *testing.T) {
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

// policies returns the names of the policies in the chart for this API server.
func policies(t *testing.T) []string {
	t.Helper()
	if serverVersion(t).LessThan(version.MustParseGeneric("1.30")) {
		return nil
	}
	return []string{config.PodPolicy, config.RightsPolicy}
}

func TestUninstall_NamespaceOwnsTheClusterScopedObjects(t *testing.T) {
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
	named := metav1.ObjectMeta{Name: config.Name}
	objects := []client.Object{
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: named}, &rbacv1.ClusterRole{ObjectMeta: named},
		&rbacv1.ClusterRoleBinding{ObjectMeta: named},
	}
	for _, name := range policies(t) {
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
			t.Errorf("owners of %T after the upgrade = %v, want the namespace", object, object.GetOwnerReferences())
		}
	}
}
