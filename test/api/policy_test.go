//go:build api

package api

import (
	"fmt"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
)

// policyPods returns pods by what the policy knows of them.
func policyPods(t *testing.T) map[string]*corev1.Pod {
	t.Helper()
	shared.host.have("policy/held:local", image{inRegistry: true})
	pushing := make(chan struct{})
	t.Cleanup(func() { close(pushing) })
	shared.host.have("policy/waiting:local", image{pushing: pushing})
	ns := namespace(t)
	named := func(ns, name string, images ...string) *corev1.Pod {
		p := pod(ns, images...)
		p.Name = name
		return p
	}
	held := named(ns, "gated", "policy/waiting:local")
	held.Annotations = map[string]string{"theirs": "a"}
	held.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/theirs"}}
	system := named(metav1.NamespaceSystem, "", "registry.invalid/else:1")
	system.GenerateName = "policy-"
	pods := map[string]*corev1.Pod{
		"gated":     create(t, held),
		"healthy":   create(t, named(ns, "healthy", "registry.invalid/else:1")),
		"rewritten": create(t, named(ns, "rewritten", "policy/held:local")),
		"failing":   create(t, named(ns, "failing", "registry.invalid/else:1")),
		"large":     create(t, many(ns, 150)),
		"exempt":    create(t, system),
	}
	for _, name := range []string{"failing", "large", "exempt"} {
		fail(t, pods[name])
	}
	await(t, "held to the policy", func() bool { // the API server learns of it a moment later
		return patchAsWebhook(t, pods["healthy"], replace("localhost:5001/else:1")) != nil
	})
	return pods
}

// replace returns a JSON patch that gives the first container an image.
func replace(image string) string {
	return fmt.Sprintf(`[{"op":"replace","path":"/spec/containers/0/image","value":%q}]`, image)
}

// annotation returns a JSON patch that sets an annotation of a pod that has some.
func annotation(key, value string) string {
	return fmt.Sprintf(`[{"op":"add","path":"/metadata/annotations/%s","value":%q}]`, strings.ReplaceAll(key, "/", "~1"), value)
}

// annotations returns a JSON patch that gives a pod that one annotation.
func annotations(key, value string) string {
	return fmt.Sprintf(`[{"op":"add","path":"/metadata/annotations","value":{%q:%q}}]`, key, value)
}

// both returns one JSON patch of two.
func both(one, other string) string {
	return strings.TrimSuffix(one, "]") + "," + strings.TrimPrefix(other, "[")
}

func TestPolicy_HoldsTheServiceAccountToItsPodsImagesAndMarks(t *testing.T) {
	t.Parallel()
	const (
		ungate = `[{"op":"remove","path":"/spec/schedulingGates/1"}]`
		local  = "localhost:5001/policy/waiting:local"
		failed = `{"spec.containers{c0}":"registry.invalid/else:1"}`
		evil   = "evil.example.com/x:1"

		notOurs, exempt, images = "gated or rewritten", "exempt namespace", "to the original image"
		record, spec, marks     = "record an image", "a pod's spec", "annotations but those"
		metadata                = "a pod's metadata"
	)
	pods := policyPods(t)
	for name, tt := range map[string]struct{ pod, patch, refusal string }{
		"ungating and pinning":        {"gated", both(ungate, replace(local+"@"+digestOf("x"))), ""},
		"ungating and restoring":      {"gated", both(ungate, replace("policy/waiting:local")), ""},
		"showing progress":            {"gated", annotation(config.ProgressAnnotation, "pushing 1 of 2 MB"), ""},
		"healing":                     {"failing", both(replace(local), annotations(config.OriginalsAnnotation, failed)), ""},
		"healing a large pod":         {"large", both(replace(local), annotations(config.OriginalsAnnotation, `{"spec.containers{c0}":"registry.invalid/else:0"}`)), ""},
		"pinning a rewritten image":   {"rewritten", replace(local), ""},
		"restoring a rewritten image": {"rewritten", replace("policy/held:local"), ""},
		"a mark in the system":        {"exempt", annotations(config.HealedAnnotation, "{}"), ""},

		"an image of a healthy pod":          {"healthy", replace(local), notOurs},
		"a mark of a healthy pod":            {"healthy", annotations(config.OriginalsAnnotation, failed), notOurs},
		"an image in the system":             {"exempt", replace(local), exempt},
		"a foreign image, gated":             {"gated", replace(evil), images},
		"a foreign image, failing":           {"failing", replace(evil), images},
		"a foreign image, rewritten":         {"rewritten", replace(evil), images},
		"an image that is only recorded now": {"failing", both(replace(evil), annotations(config.OriginalsAnnotation, failed)), images},
		"a record of a foreign image":        {"failing", annotations(config.OriginalsAnnotation, `{"spec.containers{c0}":"`+evil+`"}`), record},
		"a record in disguise":               {"failing", annotations(config.OriginalsAnnotation, `{"spec.containers{c0}":"\u0065vil.example.com/x"}`), record},
		"the gate of others":                 {"gated", `[{"op":"remove","path":"/spec/schedulingGates/0"}]`, "own scheduling gate"},
		"a node selector":                    {"gated", `[{"op":"add","path":"/spec/nodeSelector","value":{"a":"b"}}]`, spec},
		"a deadline":                         {"failing", `[{"op":"add","path":"/spec/activeDeadlineSeconds","value":1}]`, spec},
		"a toleration":                       {"failing", `[{"op":"add","path":"/spec/tolerations/-","value":{"operator":"Exists"}}]`, spec},
		"the opt-out":                        {"gated", annotation(config.RewriteAnnotation, "false"), marks},
		"another annotation":                 {"failing", annotations("a", "b"), marks},
		"an annotation less":                 {"gated", `[{"op":"remove","path":"/metadata/annotations/theirs"}]`, marks},
		"a label":                            {"gated", `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`, metadata},
		"a finalizer":                        {"failing", `[{"op":"add","path":"/metadata/finalizers","value":["example.com/a"]}]`, metadata},
		"an owner":                           {"failing", `[{"op":"add","path":"/metadata/ownerReferences","value":[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"b"}]}]`, metadata},
		"a command":                          {"gated", `[{"op":"add","path":"/spec/containers/0/command","value":["sh"]}]`, "pod updates may not change fields"},
		"a security context":                 {"failing", `[{"op":"add","path":"/spec/containers/0/securityContext","value":{"privileged":true}}]`, "pod updates may not change fields"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, patchAsWebhook(t, pods[tt.pod], tt.patch), tt.refusal)
		})
	}
}

// patchAsWebhook tries a JSON patch of the pod as the webhook's ServiceAccount, as a dry run.
func patchAsWebhook(t *testing.T, p *corev1.Pod, patch string) error {
	t.Helper()
	return withItsRights(t).Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(patch)), client.DryRunAll)
}

// wantRefusal fails the test unless the request was refused for that reason, or not at all for "".
func wantRefusal(t *testing.T, err error, reason string) {
	t.Helper()
	if (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
		t.Errorf("the request: %v, want it refused for %q", err, reason)
	}
}

func TestPolicy_HoldsTheServiceAccountToItsOwnObjects(t *testing.T) {
	t.Parallel()
	ours := metav1.ObjectMeta{Namespace: config.Name, Name: config.Name}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: config.Name, Name: name} }
	merge := func(object client.Object, patch string) func(client.Client) error {
		return func(own client.Client) error {
			return own.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
		}
	}
	made := func(object client.Object, options ...client.CreateOption) func(client.Client) error {
		return func(own client.Client) error { return own.Create(t.Context(), object, options...) }
	}
	binding := func() client.Object {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: config.Name}}
	}
	role := func() client.Object { return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: config.Name}} }
	for name, tt := range map[string]struct {
		request func(client.Client) error
		refusal string
	}{
		"another owner":        {merge(binding(), `{"metadata":{"ownerReferences":[]}}`), ""},
		"a probe":              {made(&corev1.ConfigMap{ObjectMeta: meta("policy-probe")}, client.DryRunAll), ""},
		"its own certificate":  {made(&corev1.Secret{ObjectMeta: meta(config.ServingSecret)}, client.DryRunAll), "already exists"},
		"its own Lease":        {made(&coordinationv1.Lease{ObjectMeta: ours}, client.DryRunAll), "already exists"},
		"another subject":      {merge(binding(), `{"subjects":[{"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":"system:authenticated"}]}`), "rules nor the subjects"},
		"fewer rules":          {merge(role(), `{"rules":[]}`), "rules nor the subjects"},
		"more rules":           {merge(role(), `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`), "not currently held"},
		"a label of its role":  {merge(role(), `{"metadata":{"labels":{"rbac.authorization.k8s.io/aggregate-to-view":"true"}}}`), "its role but the owner"},
		"another Secret":       {made(&corev1.Secret{ObjectMeta: meta("policy-other")}), "no Secret but"},
		"a ConfigMap":          {made(&corev1.ConfigMap{ObjectMeta: meta("policy-other")}), "as a dry run"},
		"another Lease":        {made(&coordinationv1.Lease{ObjectMeta: meta("policy-other")}), "no Lease but"},
		"a token, by its name": {made(tokenSecret()), "no Secret but"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, tt.request(withItsRights(t)), tt.refusal)
		})
	}
}

// tokenSecret returns a Secret that the API server would fill with a token of the ServiceAccount.
func tokenSecret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: config.Name, Name: "policy-token",
			Annotations: map[string]string{corev1.ServiceAccountNameKey: config.Name},
		},
		Type: corev1.SecretTypeServiceAccountToken,
	}
}

func TestPolicy_DoesNotConcernOtherUsers(t *testing.T) {
	t.Parallel()
	p := create(t, pod(namespace(t), "registry.invalid/else:1"))
	for _, patch := range []string{replace("registry.invalid/other:1"), `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`} {
		if err := shared.Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(patch))); err != nil {
			t.Errorf("patching a pod by another user: %v", err)
		}
	}
}
