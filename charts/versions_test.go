package charts_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"

	"kind-local-registry/charts"
	"kind-local-registry/charts/charttest"
	"kind-local-registry/config"
)

// The API server rejects or drops what it does not know, so the chart must omit it.
func TestChart_OmitsWhatOldVersionsLack(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]struct{ conditions, policies, preStop bool }{
		"v1.27.3":              {},
		"v1.28.0":              {conditions: true},
		"v1.29.14":             {conditions: true},
		"v1.30.0-alpha.1+1234": {conditions: true, policies: true, preStop: true},
		"v1.30.0":              {conditions: true, policies: true, preStop: true},
		"v1.37.2":              {conditions: true, policies: true, preStop: true},
	} {
		objects, err := charttest.ObjectsFor(version, nil)
		if err != nil {
			t.Fatal(err)
		}
		hook := find[admissionv1.MutatingWebhookConfiguration](t, objects, "MutatingWebhookConfiguration", config.Name)
		container := find[appsv1.Deployment](t, objects, "Deployment", config.Name).Spec.Template.Spec.Containers[0]
		got := want
		got.conditions = len(hook.Webhooks[0].MatchConditions) > 0
		got.preStop = container.Lifecycle != nil && container.Lifecycle.PreStop != nil && container.Lifecycle.PreStop.Sleep != nil
		got.policies = true
		for _, name := range policyNames() {
			got.policies = got.policies && find[admissionv1.ValidatingAdmissionPolicy](t, objects, "ValidatingAdmissionPolicy", name) != nil
		}
		if got != want {
			t.Errorf("the chart for %s has %+v, want %+v", version, got, want)
		}
		if container.Lifecycle != nil && !want.preStop {
			t.Errorf("lifecycle for %s = %+v, want none: an empty one is invalid", version, container.Lifecycle)
		}
	}
}

func TestChart_IsTheSameForAllNewerVersions(t *testing.T) {
	t.Parallel()
	first, err := charttest.ObjectsFor("v1.30.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	last, err := charttest.ObjectsFor("v1.37.2", nil)
	if diff := cmp.Diff(first, last); err != nil || diff != "" {
		t.Errorf("objects: %v, (-1.30 +1.37):\n%s", err, diff)
	}
}

func TestChart_RequiresSchedulingGates(t *testing.T) {
	t.Parallel()
	loaded, err := charts.Load()
	if err != nil {
		t.Fatal(err)
	}
	var accepted []string
	for minor := range 31 {
		version, err := common.ParseKubeVersion(fmt.Sprintf("v1.%d.0", minor))
		if err != nil {
			t.Fatal(err)
		}
		if chartutil.IsCompatibleRange(loaded.Metadata.KubeVersion, version.Version) {
			accepted = append(accepted, version.Version)
		}
	}
	if want := []string{"v1.27.0", "v1.28.0", "v1.29.0", "v1.30.0"}; !slices.Equal(accepted, want) {
		t.Errorf("the chart accepts %q, want %q", accepted, want)
	}
}
