package chart

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// deleteNamespace deletes the webhook's namespace and waits until it no longer exists.
func (c *Chart) deleteNamespace(ctx context.Context) error {
	kube, err := c.cluster.Kube()
	if err != nil {
		return err
	}
	err = kube.CoreV1().Namespaces().Delete(ctx, config.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting namespace %s: %w", config.Name, err)
	}
	return awaitNoNamespace(ctx, kube)
}

// awaitNoNamespace waits until the webhook's namespace no longer exists.
func awaitNoNamespace(ctx context.Context, kube kubernetes.Interface) error {
	return step.Poll(ctx, timeout, func(ctx context.Context) error {
		_, err := kube.CoreV1().Namespaces().Get(ctx, config.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(fmt.Errorf("namespace %s still exists", config.Name), err)
	})
}

// terminating reports whether the webhook's namespace is being deleted, for example because setup down was interrupted. Nothing can be
// created in it then.
func terminating(ctx context.Context, kube kubernetes.Interface) (bool, error) {
	namespace, err := kube.CoreV1().Namespaces().Get(ctx, config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading namespace %s: %w", config.Name, err)
	}
	return namespace.DeletionTimestamp != nil, nil
}
