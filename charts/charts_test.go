package charts_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"kind-local-registry/charts"
	"kind-local-registry/charts/charttest"
	"kind-local-registry/config"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
)

var update = flag.Bool("update", false, "write the goldens")

// render renders the chart.
func render(t *testing.T, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	objects, err := charttest.Objects(values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// find returns the one object of that kind and name, or nil. Fields that the type does not have are an error.
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

// podSecurity says whether the Deployment's pod is of the level, and if not, why.
func podSecurity(t *testing.T, level api.Level, values map[string]any) (bool, string) {
	t.Helper()
	template := find[appsv1.Deployment](t, render(t, values), "Deployment", config.Name).Spec.Template
	return isOfLevel(t, level, template)
}

// isOfLevel says whether the pods of the template are of the level, and if not, why.
func isOfLevel(t *testing.T, level api.Level, template corev1.PodTemplateSpec) (bool, string) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	latest := api.LevelVersion{Level: level, Version: api.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(latest, &template.ObjectMeta, &template.Spec))
	return result.Allowed, result.ForbiddenDetail()
}

func TestDeployment_IsPodSecurityRestricted(t *testing.T) {
	t.Parallel()
	if ok, why := podSecurity(t, api.LevelRestricted, nil); !ok {
		t.Errorf("the pod is not restricted: %s", why)
	}
}

func TestDeployment_HasTheHostsSocketOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	ok, why := podSecurity(t, api.LevelBaseline, map[string]any{"docker": map[string]any{"socket": true}})
	if ok || !strings.Contains(why, "hostPath") {
		t.Errorf("a pod with the socket: baseline = %v (%s), want that hostPath forbids it", ok, why)
	}
}

func TestDeployment_RunsTheImageThatIsGiven(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0", 64)
	for name, tt := range map[string]struct {
		image map[string]any
		want  string
	}{
		"nothing given": {map[string]any{}, "localhost:5001/" + config.WebhookImage + ":v0.1.0"},
		"a tag":         {map[string]any{"tag": "v1"}, "localhost:5001/" + config.WebhookImage + ":v1"},
		"a digest":      {map[string]any{"tag": "v1", "digest": digest}, "localhost:5001/" + config.WebhookImage + ":v1@" + digest},
		"another name":  {map[string]any{"repository": "localhost:5002/x", "tag": "1"}, "localhost:5002/x:1"},
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

// rule is that of one operation on one resource of core/v1.
func rule(operation admissionv1.OperationType, resource string) admissionv1.RuleWithOperations {
	return admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{operation},
		Rule: admissionv1.Rule{
			APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource},
			Scope: new(admissionv1.NamespacedScope),
		},
	}
}

// clientConfig is how both webhooks are called. The path, one for both as the API server keeps connections by it, is added by
// the webhook.
func clientConfig() admissionv1.WebhookClientConfig {
	return admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{
		Namespace: config.Name, Name: config.Name, Port: new(int32(443)),
	}}
}

// podsWebhook is the webhook that is asked about pods: it fails open.
func podsWebhook() admissionv1.MutatingWebhook {
	return admissionv1.MutatingWebhook{
		Name:                    config.WebhookName,
		AdmissionReviewVersions: []string{"v1"},
		ClientConfig:            clientConfig(),
		Rules: []admissionv1.RuleWithOperations{
			rule(admissionv1.Create, "pods"), rule(admissionv1.Update, "pods"),
			rule(admissionv1.Update, "pods/ephemeralcontainers"),
		},
		FailurePolicy:      new(admissionv1.Ignore),
		TimeoutSeconds:     new(int32(5)),
		SideEffects:        new(admissionv1.SideEffectClassNoneOnDryRun),
		MatchPolicy:        new(admissionv1.Equivalent),
		ReinvocationPolicy: new(admissionv1.IfNeededReinvocationPolicy),
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn,
			Values: config.ExemptNamespaces(),
		}}},
		MatchConditions: []admissionv1.MatchCondition{{
			Name: "not-a-mirror-pod",
			Expression: "!has(object.metadata.annotations) || " +
				"!('kubernetes.io/config.mirror' in object.metadata.annotations)",
		}, {
			Name: "image-changed",
			Expression: "request.operation != 'UPDATE' || (has(request.subResource) && request.subResource != '') || " +
				"(request.userInfo.username != '" + config.ServiceAccountUser() + "' && " +
				"(object.spec.containers.map(c, c.image) != oldObject.spec.containers.map(c, c.image) || " +
				"(has(object.spec.initContainers) ? object.spec.initContainers.map(c, c.image) : []) != " +
				"(has(oldObject.spec.initContainers) ? oldObject.spec.initContainers.map(c, c.image) : [])))",
		}},
	}
}

func TestWebhook_AnswersWithinTheTimeoutOfItsCall(t *testing.T) {
	t.Parallel()
	const margin = time.Second // for the queue, the patch and the network
	if timeout := time.Duration(*podsWebhook().TimeoutSeconds) * time.Second; webhook.Budget+margin > timeout {
		t.Errorf("the webhook decides within %s and the API server waits for %s, want %s more", webhook.Budget, timeout, margin)
	}
}

func TestRegistryHost_IsTheDefaultOfTheProgram(t *testing.T) {
	t.Parallel()
	chart, err := charts.Load()
	if err != nil {
		t.Fatal(err)
	}
	registry, _ := chart.Values["registry"].(map[string]any)
	if want := config.RegistryHost(config.RegistryPort); registry["host"] != want {
		t.Errorf("registry.host = %v, want %s", registry["host"], want)
	}
}

// probeWebhook is the webhook that is asked about probes, which are in our namespace and have our label: it may fail
// closed.
func probeWebhook() admissionv1.MutatingWebhook {
	return admissionv1.MutatingWebhook{
		Name:                    config.ProbeWebhookName,
		AdmissionReviewVersions: []string{"v1"},
		ClientConfig:            clientConfig(),
		Rules:                   []admissionv1.RuleWithOperations{rule(admissionv1.Create, "configmaps")},
		FailurePolicy:           new(admissionv1.Fail),
		TimeoutSeconds:          new(int32(2)),
		SideEffects:             new(admissionv1.SideEffectClassNone),
		NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: config.Name}},
		ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{config.ProbeLabel: "true"}},
	}
}

func TestWebhooks_AreCalledForImagesAndOurOwnProbesOnly(t *testing.T) {
	t.Parallel()
	got := find[admissionv1.MutatingWebhookConfiguration](t, render(t, nil), "MutatingWebhookConfiguration", config.Name)
	want := []admissionv1.MutatingWebhook{podsWebhook(), probeWebhook()}
	if diff := cmp.Diff(want, got.Webhooks); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
}

func TestPusher_IsAServiceWithTheAddressByHand(t *testing.T) {
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
		t.Error("there is a Service for a pusher without an address")
	}
}

func TestSecrets_HaveTheNamesThatTheProgramKnows(t *testing.T) {
	t.Parallel()
	objects := render(t, nil)
	secret := find[corev1.Secret](t, objects, "Secret", config.ServingSecret)
	if secret == nil || len(secret.Data)+len(secret.StringData) > 0 {
		t.Errorf("secret %s = %v, want it without data, which an upgrade would take away", config.ServingSecret, secret)
	}
	volumes := find[appsv1.Deployment](t, objects, "Deployment", config.Name).Spec.Template.Spec.Volumes
	if got := volumes[0].Secret; got == nil || got.SecretName != config.PusherSecret || !*got.Optional {
		t.Errorf("volume = %v, want %s, and that the pod runs without it", got, config.PusherSecret)
	}
}

func TestRules_AreTheDocumentThatTheWebhookReads(t *testing.T) {
	t.Parallel()
	defaults := rules.Default()
	some := defaults
	some.Images = rules.Selection{Include: []string{"quay.io/**"}, Exclude: []string{"*/a", "**:{{ .x }}", "yes"}}
	some.Pods.Exclude = []string{}
	some.LoopGuard.Recreations = 0
	for name, tt := range map[string]struct {
		values map[string]any
		want   rules.Rules
	}{
		"nothing given": {nil, defaults},
		"some rules": {map[string]any{
			"images":    map[string]any{"include": []any{"quay.io/**"}, "exclude": []any{"*/a", "**:{{ .x }}", "yes"}},
			"pods":      map[string]any{"exclude": []any{}},
			"loopGuard": map[string]any{"recreations": 0, "within": "5m0s"},
		}, some},
	} {
		objects := render(t, map[string]any{"rules": tt.values})
		got, err := rules.Parse(name, []byte(find[corev1.ConfigMap](t, objects, "ConfigMap", config.RulesConfigMap).Data[config.RulesKey]))
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: ParseRules: %v, (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestDeployment_ReadsItsRulesWhereTheyAreMounted(t *testing.T) {
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

func TestDisruptionBudget_IsThereForMoreThanOneReplica(t *testing.T) {
	t.Parallel()
	for replicas, want := range map[int]bool{1: false, 2: true} {
		objects := render(t, map[string]any{"replicas": replicas})
		if got := find[unstructured.Unstructured](t, objects, "PodDisruptionBudget", config.Name) != nil; got != want {
			t.Errorf("with %d replicas, a PodDisruptionBudget: %v, want %v", replicas, got, want)
		}
	}
}

func TestRBAC_IsTheGolden(t *testing.T) {
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

func TestReadme_ListsEveryValue(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("kind-local-registry/README.md")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("kind-local-registry/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(document, &values); err != nil {
		t.Fatal(err)
	}
	for key, value := range values {
		keys := []string{key}
		if group, ok := value.(map[string]any); ok && len(group) > 0 && key != "resources" {
			keys = nil
			for inner := range group {
				keys = append(keys, key+"."+inner)
			}
		}
		for _, key := range keys {
			if !strings.Contains(string(readme), "| `"+key+"` |") {
				t.Errorf("README.md does not list the value %s", key)
			}
		}
	}
}

func TestValues_OfTheWrongKindAreRefused(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]any{
		"an unknown key":           {"unknown": 1},
		"an unknown key, deeper":   {"pusher": map[string]any{"host": "x"}},
		"a name for an address":    {"pusher": map[string]any{"address": "kind-registry-pusher"}},
		"text for a number":        {"replicas": "two"},
		"a digest that is none":    {"image": map[string]any{"digest": "latest"}},
		"a deadline that is none":  {"pushDeadline": "soon"},
		"a rule that is none":      {"rules": map[string]any{"image": map[string]any{}}},
		"text for a list":          {"rules": map[string]any{"images": map[string]any{"exclude": "nginx"}}},
		"a word of no closed list": {"rules": map[string]any{"alwaysPull": "Never"}},
		"an address without size":  {"networkPolicy": map[string]any{"apiServerCIDRs": []any{"172.18.0.2"}}},
		"text for a switch":        {"policy": map[string]any{"enabled": "off"}},
		"a count below nothing":    {"rules": map[string]any{"loopGuard": map[string]any{"recreations": -1}}},
	} {
		if _, err := charttest.Objects(values); err == nil {
			t.Errorf("%s is taken: %v", name, values)
		}
	}
}
