package charts_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"kind-local-registry/charts/charttest"
	"kind-local-registry/config"
)

var update = flag.Bool("update", false, "update the golden files")

// render returns the objects that the chart contains when it is rendered with values.
func render(t *testing.T, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	objects, err := charttest.Objects(values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// find returns the object with the given kind and name, or nil. It fails the test if the object has fields that T does not have.
func find[T any](t *testing.T, objects []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() != kind || object.GetName() != name {
			continue
		}
		typed := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true); err != nil {
			t.Fatalf("%s %s: %v", kind, name, err)
		}
		return typed
	}
	return nil
}

// podSecurity reports whether the Deployment's pods meet a PodSecurity level and, if not, why.
func podSecurity(t *testing.T, level api.Level, values map[string]any) (bool, string) {
	t.Helper()
	template := find[appsv1.Deployment](t, render(t, values), "Deployment", config.Name).Spec.Template
	return meetsLevel(t, level, template)
}

// meetsLevel reports whether the template's pods meet a PodSecurity level and, if not, why.
func meetsLevel(t *testing.T, level api.Level, template corev1.PodTemplateSpec) (bool, string) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	latest := api.LevelVersion{Level: level, Version: api.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(latest, &template.ObjectMeta, &template.Spec))
	return result.Allowed, result.ForbiddenDetail()
}

func TestDeployment_IsRestricted(t *testing.T) {
	t.Parallel()
	if ok, why := podSecurity(t, api.LevelRestricted, nil); !ok {
		t.Errorf("pod is not PodSecurity restricted: %s", why)
	}
}

func TestDeployment_MountsDockerSocketOnlyIfEnabled(t *testing.T) {
	t.Parallel()
	ok, why := podSecurity(t, api.LevelBaseline, map[string]any{"docker": map[string]any{"socket": true}})
	if ok || !strings.Contains(why, "hostPath") {
		t.Errorf("pod with docker.socket is PodSecurity baseline: %v (%s), want false, because of hostPath", ok, why)
	}
}

func TestDeployment_RunsImageOfValues(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0", 64)
	for name, tt := range map[string]struct {
		image map[string]any
		want  string
	}{
		"no values":    {map[string]any{}, "localhost:5001/" + config.WebhookImage + ":v0.1.0"},
		"a tag":        {map[string]any{"tag": "v1"}, "localhost:5001/" + config.WebhookImage + ":v1"},
		"a digest":     {map[string]any{"tag": "v1", "digest": digest}, "localhost:5001/" + config.WebhookImage + ":v1@" + digest},
		"a repository": {map[string]any{"repository": "localhost:5002/x", "tag": "1"}, "localhost:5002/x:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deployment := find[appsv1.Deployment](t, render(t, map[string]any{"image": tt.image}), "Deployment", config.Name)
			if got := deployment.Spec.Template.Spec.Containers[0].Image; got != tt.want {
				t.Errorf("image = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPusher_IsServiceWithGivenAddress(t *testing.T) {
	t.Parallel()
	for address, family := range map[string]discoveryv1.AddressType{
		"172.18.255.253": discoveryv1.AddressTypeIPv4, "fc00:f853:ccd:e793::fffd": discoveryv1.AddressTypeIPv6,
	} {
		objects := render(t, map[string]any{"pusher": map[string]any{"address": address}})
		service := find[corev1.Service](t, objects, "Service", config.PusherService)
		slice := find[discoveryv1.EndpointSlice](t, objects, "EndpointSlice", config.PusherService)
		if service == nil || service.Spec.Selector != nil {
			t.Errorf("service = %v, want one without a selector", service)
		}
		if slice == nil || slice.AddressType != family || slice.Endpoints[0].Addresses[0] != address {
			t.Errorf("endpoint slice = %v, want %s as %s", slice, address, family)
		}
	}
	if service := find[corev1.Service](t, render(t, nil), "Service", config.PusherService); service != nil {
		t.Error("the pusher's Service exists although the pusher has no address")
	}
}

func TestSecrets_HaveNamesOfConfig(t *testing.T) {
	t.Parallel()
	objects := render(t, nil)
	secret := find[corev1.Secret](t, objects, "Secret", config.ServingSecret)
	if secret == nil || len(secret.Data)+len(secret.StringData) > 0 {
		t.Errorf("secret %s = %v, want it without data, because an upgrade would reset the data", config.ServingSecret, secret)
	}
	volumes := find[appsv1.Deployment](t, objects, "Deployment", config.Name).Spec.Template.Spec.Volumes
	if got := volumes[0].Secret; got == nil || got.SecretName != config.PusherSecret || !*got.Optional {
		t.Errorf("volume = %v, want secret %s, optional", got, config.PusherSecret)
	}
}

func TestDeployment_ReadsMountedRules(t *testing.T) {
	t.Parallel()
	pod := find[appsv1.Deployment](t, render(t, nil), "Deployment", config.Name).Spec.Template.Spec
	mount := corev1.VolumeMount{Name: "rules", MountPath: config.RulesDirectory, ReadOnly: true}
	if got := pod.Containers[0].VolumeMounts; !cmp.Equal(got[len(got)-1], mount) {
		t.Errorf("mounts = %v, want %v last", got, mount)
	}
	if arg := "--rules=" + config.RulesDirectory + "/" + config.RulesKey; !slices.Contains(pod.Containers[0].Args, arg) {
		t.Errorf("args = %q, want %s among them", pod.Containers[0].Args, arg)
	}
	if volume := pod.Volumes[1]; volume.Name != "rules" || volume.ConfigMap == nil || volume.ConfigMap.Name != config.RulesConfigMap {
		t.Errorf("volume = %v, want ConfigMap %s as rules", volume, config.RulesConfigMap)
	}
}

func TestDisruptionBudget_ExistsForSeveralReplicas(t *testing.T) {
	t.Parallel()
	for replicas, want := range map[int]bool{1: false, 2: true} {
		objects := render(t, map[string]any{"replicas": replicas})
		if got := find[unstructured.Unstructured](t, objects, "PodDisruptionBudget", config.Name) != nil; got != want {
			t.Errorf("PodDisruptionBudget with %d replicas exists: %v, want %v", replicas, got, want)
		}
	}
}

func TestRBAC_MatchesGolden(t *testing.T) {
	t.Parallel()
	objects := render(t, nil)
	rights := map[string][]rbacv1.PolicyRule{
		"clusterRole": find[rbacv1.ClusterRole](t, objects, "ClusterRole", config.Name).Rules,
		"role":        find[rbacv1.Role](t, objects, "Role", config.Name).Rules,
	}
	got, err := yaml.Marshal(rights)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/rbac.yaml"
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
}
