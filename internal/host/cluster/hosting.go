package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// The ConfigMap that KEP-1755 defines.
const (
	hostingNamespace = "kube-public"
	hostingConfigMap = "local-registry-hosting"
	hostingKey       = "localRegistryHosting.v1"
)

// beforeAnnotation is the annotation of our ConfigMap that contains another tool's ConfigMap, which ours replaced.
const beforeAnnotation = config.Name + "/before"

// ManagedBy is the recommended label for the tool that manages an object. On setup's objects its value is config.Name.
const ManagedBy = "app.kubernetes.io/managed-by"

// hosting implements the step for the ConfigMap that tells other tools where the local registry is.
type hosting struct {
	cluster      *Cluster
	registryHost string
}

// HostingStep returns the step that applies KEP-1755's ConfigMap for the registry at registryHost.
func (c *Cluster) HostingStep(registryHost string) step.Step {
	h := hosting{c, registryHost}
	return step.Step{Name: "ConfigMap", InCluster: true, Check: h.check, Apply: h.apply, Foreign: h.foreign, Undo: h.undo, Plan: h.plan}
}

// document returns the ConfigMap's content (LocalRegistryHostingV1 in KEP-1755 of kubernetes/enhancements). It omits
// hostFromContainerRuntime, because the nodes reach the registry under the same name as the host. With another name there, Tilt
// would use that name in pods, but the nodes' hosts.toml is only for registryHost.
func (h hosting) document() string {
	return fmt.Sprintf("host: %q\nhostFromClusterNetwork: \"%s:%d\"\nhelp: \"https://kind.sigs.k8s.io/docs/user/local-registry/\"\n",
		h.registryHost, config.RegistryContainer, config.RegistryContainerPort)
}

func (h hosting) check(ctx context.Context) (step.State, error) {
	found, err := h.get(ctx)
	switch {
	case errors.Is(err, ErrNotFound) || apierrors.IsNotFound(err):
		return step.State{Detail: fmt.Sprintf("no ConfigMap %s in %s", hostingConfigMap, hostingNamespace)}, nil
	case err != nil:
		return step.State{}, err
	case found.Data[hostingKey] != h.document():
		return step.State{Detail: fmt.Sprintf("ConfigMap %s names another registry", hostingConfigMap)}, nil
	}
	return step.State{OK: true, Detail: fmt.Sprintf("%s/%s (KEP-1755)", hostingNamespace, hostingConfigMap)}, nil
}

// OwnsHosting reports whether no other tool created the cluster's ConfigMap.
func (c *Cluster) OwnsHosting(ctx context.Context) (bool, error) {
	found, err := hosting{cluster: c}.get(ctx)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return err == nil && found.Labels[ManagedBy] == config.Name, err
}

func (h hosting) get(ctx context.Context) (*corev1.ConfigMap, error) {
	kube, err := h.cluster.Kube()
	if err != nil {
		return nil, err
	}
	return kube.CoreV1().ConfigMaps(hostingNamespace).Get(ctx, hostingConfigMap, metav1.GetOptions{})
}

func (h hosting) apply(ctx context.Context, _ step.Progress) error {
	kube, err := h.cluster.Kube()
	if err != nil {
		return err
	}
	found, err := h.get(ctx)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading ConfigMap %s: %w", hostingConfigMap, err)
	}
	object := applycorev1.ConfigMap(hostingConfigMap, hostingNamespace).
		WithLabels(map[string]string{ManagedBy: config.Name}).
		WithData(map[string]string{hostingKey: h.document()})
	if before := replaced(found); err == nil && before != "" {
		object.WithAnnotations(map[string]string{beforeAnnotation: before})
	}
	_, err = kube.CoreV1().ConfigMaps(hostingNamespace).Apply(ctx, object, metav1.ApplyOptions{FieldManager: config.Name, Force: true})
	if err != nil {
		return fmt.Errorf("applying ConfigMap %s: %w", hostingConfigMap, err)
	}
	return nil
}

// replaced returns the value of beforeAnnotation for the ConfigMap that replaces found. It is "" if no other tool's ConfigMap is, or
// has been, replaced.
func replaced(found *corev1.ConfigMap) string {
	if found.Labels[ManagedBy] == config.Name {
		return found.Annotations[beforeAnnotation]
	}
	before, _ := json.Marshal(corev1.ConfigMap{ // strings always marshal
		ObjectMeta: metav1.ObjectMeta{Labels: found.Labels}, Data: found.Data, BinaryData: found.BinaryData,
	})
	return string(before)
}

func (h hosting) undo(ctx context.Context) (string, error) {
	found, err := h.get(ctx)
	if errors.Is(err, ErrNotFound) || apierrors.IsNotFound(err) {
		return "nothing to remove", nil
	}
	if err != nil {
		return "", err
	}
	if found.Labels[ManagedBy] != config.Name {
		return "kept: setup did not create it", nil
	}
	kube, err := h.cluster.Kube()
	if err != nil {
		return "", err
	}
	all := kube.CoreV1().ConfigMaps(hostingNamespace)
	if before := found.Annotations[beforeAnnotation]; before != "" {
		if err := restore(found, before); err != nil {
			return "", err
		}
		if _, err := all.Update(ctx, found, metav1.UpdateOptions{FieldManager: config.Name}); err != nil {
			return "", fmt.Errorf("restoring ConfigMap %s: %w", hostingConfigMap, err)
		}
		return hostingConfigMap + " of another tool restored", nil
	}
	if err := all.Delete(ctx, hostingConfigMap, metav1.DeleteOptions{}); err != nil {
		return "", fmt.Errorf("deleting ConfigMap %s: %w", hostingConfigMap, err)
	}
	return hostingConfigMap + " removed", nil
}

// restore puts into found the labels and data of the ConfigMap that it replaced.
func restore(found *corev1.ConfigMap, before string) error {
	var old corev1.ConfigMap
	if err := json.Unmarshal([]byte(before), &old); err != nil {
		return fmt.Errorf("reading annotation %s of ConfigMap %s: %w", beforeAnnotation, hostingConfigMap, err)
	}
	found.Labels, found.Data, found.BinaryData = old.Labels, old.Data, old.BinaryData
	delete(found.Annotations, beforeAnnotation)
	return nil
}
