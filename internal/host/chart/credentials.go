package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/step"
)

// caKey is the key of the pusher's CA in the Secret's data.
const caKey = "ca.crt"

// CredentialsStep returns the step that applies the Secret with the cluster's client certificate for the pusher. It has no Undo,
// because undoing the chart's step deletes the Secret's namespace.
func (c *Chart) CredentialsStep() step.Step {
	return step.Step{Name: "credentials", InCluster: true, Check: c.checkCredentials, Apply: c.applyCredentials}
}

func (c *Chart) checkCredentials(ctx context.Context) (step.State, error) {
	want, err := c.pusher.Credentials(ctx)
	if errors.Is(err, step.ErrMissing) {
		return step.State{Detail: err.Error()}, nil
	}
	if err != nil {
		return step.State{}, err
	}
	kube, err := c.cluster.Kube()
	if errors.Is(err, cluster.ErrNotFound) {
		return step.State{Detail: err.Error()}, nil
	}
	if err != nil {
		return step.State{}, err
	}
	deleted, err := terminating(ctx, kube)
	if err != nil {
		return step.State{}, err
	}
	if deleted {
		return step.State{Detail: "namespace " + config.Name + " is being deleted"}, nil
	}
	found, err := kube.CoreV1().Secrets(config.Name).Get(ctx, config.PusherSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return step.State{Detail: "no Secret " + config.PusherSecret}, nil
	case err != nil:
		return step.State{}, err
	case !bytes.Equal(found.Data[corev1.TLSCertKey], want.ClientCert) || !bytes.Equal(found.Data[caKey], want.CA):
		return step.State{Detail: "Secret " + config.PusherSecret + " contains another pusher's certificate"}, nil
	}
	return step.State{OK: true, Detail: "Secret " + config.PusherSecret}, nil
}

func (c *Chart) applyCredentials(ctx context.Context, progress step.Progress) error {
	credentials, err := c.pusher.Credentials(ctx)
	if err != nil {
		return err
	}
	kube, err := c.cluster.Kube()
	if err != nil {
		return err
	}
	deleted, err := terminating(ctx, kube)
	if err != nil {
		return err
	}
	if deleted {
		progress("waiting until namespace " + config.Name + " is deleted")
		if err := awaitNoNamespace(ctx, kube); err != nil {
			return err
		}
	}
	force := metav1.ApplyOptions{FieldManager: config.Name, Force: true}
	labels := map[string]string{cluster.ManagedBy: config.Name}
	namespace := applycorev1.Namespace(config.Name).WithLabels(labels).
		WithLabels(map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	if _, err := kube.CoreV1().Namespaces().Apply(ctx, namespace, force); err != nil {
		return fmt.Errorf("applying namespace %s: %w", config.Name, err)
	}
	secret := applycorev1.Secret(config.PusherSecret, config.Name).WithLabels(labels).WithType(corev1.SecretTypeTLS).
		WithData(map[string][]byte{
			corev1.TLSCertKey: credentials.ClientCert, corev1.TLSPrivateKeyKey: credentials.ClientKey, caKey: credentials.CA,
		})
	if _, err := kube.CoreV1().Secrets(config.Name).Apply(ctx, secret, force); err != nil {
		return fmt.Errorf("applying Secret %s: %w", config.PusherSecret, err)
	}
	return nil
}
