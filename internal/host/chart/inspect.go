package chart

import (
	"context"
	"errors"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/yamltext"
)

// reapply is the remedy for objects that setup up does not check.
const reapply = "run setup doctor --fix"

// CheckConfiguration checks that the webhook configuration exists and that nobody changed it. The webhook itself sets the CA bundle
// and the path, which are not compared.
func (c *Chart) CheckConfiguration(ctx context.Context) (step.State, error) {
	wanted := &admissionv1.MutatingWebhookConfiguration{}
	kube, err := c.installed(wanted, "MutatingWebhookConfiguration", config.Name)
	if err != nil {
		return step.State{}, err
	}
	found, err := kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return step.State{Detail: "no MutatingWebhookConfiguration " + config.Name, Remedy: reapply}, nil
	}
	if err != nil {
		return step.State{}, err
	}
	if changed := changes(wanted.Webhooks, found.Webhooks); len(changed) > 0 {
		return step.State{
			Detail: fmt.Sprintf("MutatingWebhookConfiguration %s was changed: %s", config.Name, strings.Join(changed, ", ")), Remedy: reapply,
		}, nil
	}
	return step.State{OK: true, Detail: fmt.Sprintf("%s, failurePolicy Ignore, as installed", config.WebhookName)}, nil
}

// changes names the fields in which the webhooks differ from the wanted ones. It ignores fields that the chart leaves to the API
// server's defaults.
func changes(wanted, found []admissionv1.MutatingWebhook) []string {
	byName := map[string]admissionv1.MutatingWebhook{}
	for _, hook := range found {
		byName[hook.Name] = hook
	}
	var changed []string
	for _, want := range wanted {
		got, exists := byName[want.Name]
		if !exists {
			changed = append(changed, want.Name+" is missing")
			continue
		}
		for _, field := range []struct {
			name      string
			want, got any
		}{
			{"failurePolicy", want.FailurePolicy, got.FailurePolicy},
			{"timeoutSeconds", want.TimeoutSeconds, got.TimeoutSeconds},
			{"namespaceSelector", orEmpty(want.NamespaceSelector), orEmpty(got.NamespaceSelector)},
			{"objectSelector", orEmpty(want.ObjectSelector), orEmpty(got.ObjectSelector)},
			{"rules", want.Rules, got.Rules},
			{"matchConditions", want.MatchConditions, got.MatchConditions},
			{"clientConfig.service", target(want), target(got)},
		} {
			if !equality.Semantic.DeepEqual(field.want, field.got) {
				changed = append(changed, field.name+" of "+want.Name)
			}
		}
	}
	return changed
}

// orEmpty returns the selector, or the empty selector that the API server stores for none.
func orEmpty(selector *metav1.LabelSelector) metav1.LabelSelector {
	if selector == nil {
		return metav1.LabelSelector{}
	}
	return *selector
}

// target names the Service and the port that a webhook calls.
func target(hook admissionv1.MutatingWebhook) string {
	service := hook.ClientConfig.Service
	if service == nil {
		return "a URL"
	}
	port := int32(443) // the API server's default
	if service.Port != nil {
		port = *service.Port
	}
	return fmt.Sprintf("%s/%s:%d", service.Namespace, service.Name, port)
}

// installed decodes an object of the installed release into object, and returns a client for the cluster.
func (c *Chart) installed(object any, kind, name string) (kubernetes.Interface, error) {
	kube, err := c.cluster.Kube()
	if err != nil {
		return nil, err
	}
	configuration, err := c.helm()
	if err != nil {
		return nil, err
	}
	last, err := lastRelease(configuration)
	if err != nil {
		return nil, err
	}
	if last == nil {
		return nil, errors.New("release " + config.Name + " is not installed")
	}
	return kube, decode(last.Manifest(), object, kind, name)
}

// decode decodes one of the documents in a release's manifest.
func decode(manifest string, object any, kind, name string) error {
	for _, document := range yamltext.Split(manifest) {
		var header struct {
			Kind     string
			Metadata metav1.ObjectMeta
		}
		if err := yaml.Unmarshal([]byte(document.Text), &header); err != nil {
			return fmt.Errorf("reading the release's manifest: %w", err)
		}
		if header.Kind == kind && header.Metadata.Name == name {
			return yaml.Unmarshal([]byte(document.Text), object)
		}
	}
	return fmt.Errorf("release %s contains no %s %s", config.Name, kind, name)
}

// CheckService checks that the webhook's Service leads to at least one ready pod.
func (c *Chart) CheckService(ctx context.Context) (step.State, error) {
	wanted := &corev1.Service{}
	kube, err := c.installed(wanted, "Service", config.Name)
	if err != nil {
		return step.State{}, err
	}
	found, err := kube.CoreV1().Services(config.Name).Get(ctx, config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return step.State{Detail: "no Service " + config.Name, Remedy: reapply}, nil
	}
	if err != nil {
		return step.State{}, err
	}
	if !equality.Semantic.DeepEqual(wanted.Spec.Selector, found.Spec.Selector) {
		return step.State{Detail: "the selector of Service " + config.Name + " was changed", Remedy: reapply}, nil
	}
	ready, err := endpoints(ctx, kube, config.Name)
	if err != nil {
		return step.State{}, err
	}
	if len(ready) == 0 {
		return step.State{
			Detail: "Service " + config.Name + " has no ready endpoint", Remedy: "see kubectl get pods,endpointslices -n " + config.Name,
		}, nil
	}
	return step.State{OK: true, Detail: fmt.Sprintf("Service %s, %s", config.Name, step.Count(len(ready), "ready endpoint"))}, nil
}

// endpoints returns the addresses of a Service's ready endpoints.
func endpoints(ctx context.Context, kube kubernetes.Interface, service string) ([]string, error) {
	slices, err := kube.DiscoveryV1().EndpointSlices(config.Name).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + service,
	})
	if err != nil {
		return nil, err
	}
	var ready []string
	for i := range slices.Items {
		for _, endpoint := range slices.Items[i].Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				ready = append(ready, endpoint.Addresses...)
			}
		}
	}
	return ready, nil
}

// CheckPusherService checks that the Service through which the webhook calls the pusher leads to the pusher's container.
func (c *Chart) CheckPusherService(ctx context.Context) (step.State, error) {
	want, err := c.pusher.Address(ctx, c.cluster.PrefersIPv6)
	if err != nil {
		return step.State{}, err
	}
	kube, err := c.cluster.Kube()
	if err != nil {
		return step.State{}, err
	}
	if _, err = kube.CoreV1().Services(config.Name).Get(ctx, config.PusherService, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return step.State{Detail: "no Service " + config.PusherService, Remedy: reapply}, nil
	}
	if err != nil {
		return step.State{}, err
	}
	found, err := endpoints(ctx, kube, config.PusherService)
	if err != nil {
		return step.State{}, err
	}
	if len(found) != 1 || found[0] != want {
		return step.State{
			Detail: fmt.Sprintf("Service %s leads to %q, but the pusher is at %s", config.PusherService, strings.Join(found, ", "), want),
			Remedy: reapply,
		}, nil
	}
	return step.State{OK: true, Detail: fmt.Sprintf("Service %s leads to %s", config.PusherService, want)}, nil
}
