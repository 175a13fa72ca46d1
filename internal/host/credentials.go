package host

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
)

// credentialsStep gives the cluster its client certificate for the pusher. It goes with the namespace, so the chart's
// step undoes it.
func (s *System) credentialsStep() Step {
	return Step{Name: "credentials", InCluster: true, Check: s.checkCredentials, Apply: s.applyCredentials}
}

func (s *System) checkCredentials(ctx context.Context) (State, error) {
	want, err := s.pusherCredentials(ctx, config.PusherContainer)
	if errors.Is(err, errNotReady) {
		return State{Detail: err.Error()}, nil
	}
	if err != nil {
		return State{}, err
	}
	client, err := s.kube()
	if errors.Is(err, errNoCluster) {
		return State{Detail: err.Error()}, nil
	}
	if err != nil {
		return State{}, err
	}
	found, err := client.CoreV1().Secrets(config.Name).Get(ctx, config.PusherSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return State{Detail: "no Secret " + config.PusherSecret}, nil
	case err != nil:
		return State{}, err
	case !bytes.Equal(found.Data[corev1.TLSCertKey], want.ClientCert) || !bytes.Equal(found.Data["ca.crt"], want.CA):
		return State{Detail: "Secret " + config.PusherSecret + " is not of this pusher"}, nil
	}
	return State{OK: true, Detail: "Secret " + config.PusherSecret}, nil
}

func (s *System) applyCredentials(ctx context.Context, _ Progress) error {
	credentials, err := s.pusherCredentials(ctx, config.PusherContainer)
	if err != nil {
		return err
	}
	client, err := s.kube()
	if err != nil {
		return err
	}
	force := metav1.ApplyOptions{FieldManager: config.Name, Force: true}
	labels := map[string]string{managedBy: config.Name}
	namespace := applycorev1.Namespace(config.Name).WithLabels(labels).
		WithLabels(map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	if _, err := client.CoreV1().Namespaces().Apply(ctx, namespace, force); err != nil {
		return fmt.Errorf("applying namespace %s: %w", config.Name, err)
	}
	secret := applycorev1.Secret(config.PusherSecret, config.Name).WithLabels(labels).WithType(corev1.SecretTypeTLS).
		WithData(map[string][]byte{
			corev1.TLSCertKey: credentials.ClientCert, corev1.TLSPrivateKeyKey: credentials.ClientKey, "ca.crt": credentials.CA,
		})
	if _, err := client.CoreV1().Secrets(config.Name).Apply(ctx, secret, force); err != nil {
		return fmt.Errorf("applying Secret %s: %w", config.PusherSecret, err)
	}
	return nil
}
