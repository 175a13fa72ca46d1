package chart

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/bundle"
)

// Sources returns the files about the webhook for a bug report: the objects in our namespace without Secrets, the webhook
// configuration, Events and the logs of our pods.
func (c *Chart) Sources(ctx context.Context) ([]bundle.Source, error) {
	kube, err := c.cluster.Kube()
	if err != nil {
		return nil, err
	}
	pods, err := kube.CoreV1().Pods(config.Name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the webhook's pods: %w", err)
	}
	core, all := kube.CoreV1(), metav1.ListOptions{}
	sources := []bundle.Source{
		object("pods", func(context.Context) (runtime.Object, error) { return pods, nil }),
		object("deployments", func(ctx context.Context) (runtime.Object, error) {
			return kube.AppsV1().Deployments(config.Name).List(ctx, all)
		}),
		object("services", func(ctx context.Context) (runtime.Object, error) { return core.Services(config.Name).List(ctx, all) }),
		object("configmaps", func(ctx context.Context) (runtime.Object, error) { return core.ConfigMaps(config.Name).List(ctx, all) }),
		object("events", func(ctx context.Context) (runtime.Object, error) { return core.Events(config.Name).List(ctx, all) }),
		object("nodes", func(ctx context.Context) (runtime.Object, error) { return core.Nodes().List(ctx, all) }),
		object("endpointslices", func(ctx context.Context) (runtime.Object, error) {
			return kube.DiscoveryV1().EndpointSlices(config.Name).List(ctx, all)
		}),
		object("networkpolicies", func(ctx context.Context) (runtime.Object, error) {
			return kube.NetworkingV1().NetworkPolicies(config.Name).List(ctx, all)
		}),
		object("mutatingwebhookconfigurations", func(ctx context.Context) (runtime.Object, error) {
			return kube.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, all)
		}),
		{Path: "cluster/version.yaml", Read: func(context.Context) ([]byte, error) {
			version, err := kube.Discovery().ServerVersion()
			return marshal(version, err)
		}},
	}
	for i := range pods.Items {
		name := pods.Items[i].Name
		sources = append(sources, bundle.Source{Path: "cluster/logs/" + name + ".log", Read: func(ctx context.Context) ([]byte, error) {
			lines := int64(bundle.LogLines)
			return core.Pods(config.Name).GetLogs(name, &corev1.PodLogOptions{TailLines: &lines, Timestamps: true}).DoRaw(ctx)
		}})
	}
	return sources, nil
}

// object returns the source of a list of objects, as YAML without secrets.
func object(kind string, list func(context.Context) (runtime.Object, error)) bundle.Source {
	return bundle.Source{Path: "cluster/" + kind + ".yaml", Read: func(ctx context.Context) ([]byte, error) {
		found, err := list(ctx)
		if err != nil {
			return nil, err
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(found)
		if err != nil {
			return nil, err
		}
		scrub(content)
		return marshal(content, nil)
	}}
}

func marshal(value any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	content, err := yaml.Marshal(value)
	return content, err
}

// scrub removes what may be secret from an object: the values of environment variables, and annotations that repeat the whole
// object. It also removes the fields' managers, which only take space.
func scrub(value any) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			scrub(element)
		}
	case map[string]any:
		delete(value, "managedFields")
		if annotations, ok := value["annotations"].(map[string]any); ok {
			delete(annotations, corev1.LastAppliedConfigAnnotation)
		}
		if service, ok := value["service"].(map[string]any); ok && service["path"] != nil {
			service["path"] = bundle.Redacted // it ends with the token that identifies the API server
		}
		if variables, ok := value["env"].([]any); ok {
			scrubVariables(variables)
		}
		for _, element := range value {
			scrub(element)
		}
	}
}

// scrubVariables removes the values of a container's environment variables that may be secret.
func scrubVariables(variables []any) {
	for _, entry := range variables {
		variable, ok := entry.(map[string]any)
		if !ok || variable["value"] == nil {
			continue
		}
		name, _ := variable["name"].(string)
		value, _ := variable["value"].(string)
		variable["value"] = bundle.Variable(name, value)
	}
}

// KnownSecrets returns the values of the Secrets in our namespace, so that they can be removed from logs. It returns none if there is
// no cluster.
func (c *Chart) KnownSecrets(ctx context.Context) ([]string, error) {
	kube, err := c.cluster.Kube()
	if err != nil {
		return nil, err
	}
	secrets, err := kube.CoreV1().Secrets(config.Name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the Secrets in namespace %s: %w", config.Name, err)
	}
	var known []string
	for i := range secrets.Items {
		for key, value := range secrets.Items[i].Data {
			if public[key] {
				continue
			}
			known = append(known, string(value))
		}
	}
	return known, nil
}

// public are the keys of values in Secrets that are not secret: certificates, and Helm's copy of the chart.
var public = map[string]bool{corev1.TLSCertKey: true, caKey: true, "release": true}
