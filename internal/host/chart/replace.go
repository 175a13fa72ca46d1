package chart

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// Reapply upgrades the release although its check passes. This restores objects that someone deleted, and fields that someone
// changed.
func (c *Chart) Reapply(ctx context.Context, progress step.Progress) error {
	return c.apply(ctx, progress)
}

// ReplaceConfiguration deletes the webhook configuration and installs it again. Without the deletion, server-side apply would keep
// fields that someone added.
func (c *Chart) ReplaceConfiguration(ctx context.Context, progress step.Progress) error {
	kube, err := c.cluster.Kube()
	if err != nil {
		return err
	}
	err = kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(ctx, config.Name, metav1.DeleteOptions{})
	return c.reapplyAfter(ctx, err, progress)
}

// ReplaceService deletes the webhook's Service and installs it again, for the same reason.
func (c *Chart) ReplaceService(ctx context.Context, progress step.Progress) error {
	kube, err := c.cluster.Kube()
	if err != nil {
		return err
	}
	err = kube.CoreV1().Services(config.Name).Delete(ctx, config.Name, metav1.DeleteOptions{})
	return c.reapplyAfter(ctx, err, progress)
}

// reapplyAfter reapplies the chart, unless deleting an object failed.
func (c *Chart) reapplyAfter(ctx context.Context, deleted error, progress step.Progress) error {
	if deleted != nil && !apierrors.IsNotFound(deleted) {
		return fmt.Errorf("deleting a changed object: %w", deleted)
	}
	return c.apply(ctx, progress)
}
