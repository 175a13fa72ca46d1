package uninstall

import (
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kind-local-registry/config"
)

// outside returns the kinds of our cluster-scoped objects. Each object's name is config.Name.
func outside() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		admissionv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"),
		rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
		rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
	}
}

// own makes the namespace the owner of our cluster-scoped objects, so that the garbage collector deletes them when the namespace
// is deleted. It skips objects that do not exist.
func own(ctx context.Context, cluster client.Client, namespace *metav1.PartialObjectMetadata) error {
	var faults []error
	for _, kind := range outside() {
		err := retry.RetryOnConflict(retry.DefaultRetry, func() error { return ownOne(ctx, cluster, namespace, kind) })
		if client.IgnoreNotFound(err) != nil {
			faults = append(faults, fmt.Errorf("setting the owner of %s %s: %w", kind.Kind, config.Name, err))
		}
	}
	return errors.Join(faults...)
}

// ownOne makes the namespace the owner of one object. It patches only metadata. For a ClusterRole, the API server allows this
// without the right to grant the role's rules.
func ownOne(ctx context.Context, cluster client.Client, namespace *metav1.PartialObjectMetadata, kind schema.GroupVersionKind) error {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	if err := cluster.Get(ctx, client.ObjectKey{Name: config.Name}, object); err != nil {
		return err
	}
	before := object.DeepCopy()
	if err := controllerutil.SetOwnerReference(namespace, object, cluster.Scheme()); err != nil {
		return err
	}
	if equality.Semantic.DeepEqual(before.OwnerReferences, object.OwnerReferences) {
		return nil
	}
	return cluster.Patch(ctx, object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}
