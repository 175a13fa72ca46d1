// Package charttest renders the chart with Helm's engine, for tests that examine the objects that Helm would install.
package charttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"kind-local-registry/charts"
	"kind-local-registry/config"
)

// Latest is the Kubernetes version for which Objects renders the chart.
const Latest = "v1.37.2"

// Objects renders the chart with values and returns its objects. The release and its namespace are named kind-local-registry.
// Objects returns an error if the chart's schema rejects the values. The templates' lookup function finds no cluster.
func Objects(values map[string]any) ([]*unstructured.Unstructured, error) {
	return ObjectsFor(Latest, values)
}

// ObjectsFor is like Objects, but renders the chart for another Kubernetes version, such as v1.27.3.
func ObjectsFor(version string, values map[string]any) ([]*unstructured.Unstructured, error) {
	return objects(version, values, func(c *chart.Chart, v common.Values) (map[string]string, error) { return engine.Render(c, v) })
}

// ObjectsIn is like Objects, but renders the chart for the version of a cluster, which the templates' lookup function queries.
func ObjectsIn(access *rest.Config, values map[string]any) ([]*unstructured.Unstructured, error) {
	client, err := discovery.NewDiscoveryClientForConfig(access)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	version, err := client.ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's version: %w", err)
	}
	return objects(version.GitVersion, values, func(c *chart.Chart, v common.Values) (map[string]string, error) {
		return engine.RenderWithClient(c, v, access)
	})
}

// renderer renders a chart's templates and returns them by name.
type renderer func(*chart.Chart, common.Values) (map[string]string, error)

// objects is like Objects, but takes the Kubernetes version and the renderer as parameters.
func objects(version string, values map[string]any, with renderer) ([]*unstructured.Unstructured, error) {
	rendered, err := render(version, values, with)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		found, err := decode(rendered[name])
		if err != nil {
			return nil, fmt.Errorf("decoding %s: %w", name, err)
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

// render returns the rendered templates by name.
func render(version string, values map[string]any, with renderer) (map[string]string, error) {
	loaded, err := charts.Load()
	if err != nil {
		return nil, err
	}
	parsed, err := common.ParseKubeVersion(version)
	if err != nil {
		return nil, fmt.Errorf("parsing the Kubernetes version %q: %w", version, err)
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *parsed
	release := common.ReleaseOptions{Name: config.Name, Namespace: config.Name, IsInstall: true, Revision: 1}
	merged, err := chartutil.ToRenderValues(loaded, values, release, capabilities)
	if err != nil {
		return nil, fmt.Errorf("reading the values: %w", err)
	}
	rendered, err := with(loaded, merged)
	if err != nil {
		return nil, fmt.Errorf("rendering the chart for Kubernetes %s: %w", version, err)
	}
	return rendered, nil
}

// decode returns the objects in one rendered template.
func decode(document string) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(document)), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}
