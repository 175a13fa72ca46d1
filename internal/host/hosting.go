package host

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/cluster"
)

// managedBy is the recommended label that says who owns an object.
const managedBy = "app.kubernetes.io/managed-by"

func (s *System) hostingStep() Step {
	return Step{Name: "ConfigMap", InCluster: true, Check: s.checkHosting, Apply: s.applyHosting, Undo: s.undoHosting}
}

func (s *System) checkHosting(ctx context.Context) (State, error) {
	found, err := s.hosting(ctx)
	switch {
	case errors.Is(err, errNoCluster) || apierrors.IsNotFound(err):
		return State{Detail: fmt.Sprintf("no ConfigMap %s in %s", cluster.HostingConfigMap, cluster.HostingNamespace)}, nil
	case err != nil:
		return State{}, err
	case found.Data[cluster.HostingKey] != cluster.Hosting(s.registryHost()):
		return State{Detail: fmt.Sprintf("ConfigMap %s names another registry", cluster.HostingConfigMap)}, nil
	}
	return State{OK: true, Detail: fmt.Sprintf("%s/%s (KEP-1755)", cluster.HostingNamespace, cluster.HostingConfigMap)}, nil
}

func (s *System) hosting(ctx context.Context) (*corev1.ConfigMap, error) {
	kube, err := s.kube()
	if err != nil {
		return nil, err
	}
	return kube.CoreV1().ConfigMaps(cluster.HostingNamespace).Get(ctx, cluster.HostingConfigMap, metav1.GetOptions{})
}

func (s *System) applyHosting(ctx context.Context, _ Progress) error {
	kube, err := s.kube()
	if err != nil {
		return err
	}
	document := applycorev1.ConfigMap(cluster.HostingConfigMap, cluster.HostingNamespace).
		WithLabels(map[string]string{managedBy: config.Name}).
		WithData(map[string]string{cluster.HostingKey: cluster.Hosting(s.registryHost())})
	_, err = kube.CoreV1().ConfigMaps(cluster.HostingNamespace).Apply(ctx, document, metav1.ApplyOptions{FieldManager: config.Name, Force: true})
	if err != nil {
		return fmt.Errorf("applying ConfigMap %s: %w", cluster.HostingConfigMap, err)
	}
	return nil
}

func (s *System) undoHosting(ctx context.Context) (string, error) {
	found, err := s.hosting(ctx)
	if errors.Is(err, errNoCluster) || apierrors.IsNotFound(err) {
		return "there was none", nil
	}
	if err != nil {
		return "", err
	}
	if found.Labels[managedBy] != config.Name {
		return "left: not made by setup", nil
	}
	kube, err := s.kube()
	if err != nil {
		return "", err
	}
	if err := kube.CoreV1().ConfigMaps(cluster.HostingNamespace).Delete(ctx, cluster.HostingConfigMap, metav1.DeleteOptions{}); err != nil {
		return "", fmt.Errorf("deleting ConfigMap %s: %w", cluster.HostingConfigMap, err)
	}
	return cluster.HostingConfigMap + " removed", nil
}
