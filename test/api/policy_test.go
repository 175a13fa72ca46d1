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

// policyPods creates one pod for each state that the policy distinguishes, and returns the pods keyed by state.
func policyPods(t *testing.T) map[string]*corev1.Pod {
	t.Helper()
	needVersion(t, "1.30", "ValidatingAdmissionPolicies by default")
	shared.host.add("policy/present:local", image{inRegistry: true})
	unblock := make(chan struct{})
	t.Cleanup(func() { close(unblock) })
	shared.host.add("policy/waiting:local", image{unblock: unblock})
	ns := newNamespace(t)
	named := func(ns, name string, images ...string) *corev1.Pod {
		p := pod(ns, images...)
		p.Name = name
		return p
	}
	gated := named(ns, "gated", "policy/waiting:local")
	gated.Annotations = map[string]string{"theirs": "a"}
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/theirs"}}
	system := named(metav1.NamespaceSystem, "", "registry.invalid/else:1")
	system.GenerateName = "policy-"
	pods := map[string]*corev1.Pod{
		"gated":     create(t, gated),
		"healthy":   create(t, named(ns, "healthy", "registry.invalid/else:1")),
		"rewritten": create(t, named(ns, "rewritten", "policy/present:local")),
		"failing":   create(t, named(ns, "failing", "registry.invalid/else:1")),
		"large":     create(t, largePod(ns, 150)),
		"exempt":    create(t, system),
	}
	for _, name := range []string{"failing", "large", "exempt"} {
		failPulls(t, pods[name])
	}
	await(t, "confined by the policy", func() bool { // the API server applies the policy with a delay
		return patchAsWebhook(t, pods["healthy"], replaceImage("localhost:5001/else:1")) != nil
	})
	return pods
}

// replaceImage returns a JSON patch that sets the first container's image.
func replaceImage(image string) string {
	return fmt.Sprintf(`[{"op":"replace","path":"/spec/containers/0/image","value":%q}]`, image)
}

// addAnnotation returns a JSON patch that sets an annotation. The pod must already have annotations.
func addAnnotation(key, value string) string {
	return fmt.Sprintf(`[{"op":"add","path":"/metadata/annotations/%s","value":%q}]`, strings.ReplaceAll(key, "/", "~1"), value)
}

// setAnnotations returns a JSON patch that replaces all of the pod's annotations with the given one.
func setAnnotations(key, value string) string {
	return fmt.Sprintf(`[{"op":"add","path":"/metadata/annotations","value":{%q:%q}}]`, key, value)
}

// joinPatches returns a JSON patch with the operations of both patches.
func joinPatches(one, other string) string {
	return strings.TrimSuffix(one, "]") + "," + strings.TrimPrefix(other, "[")
}

func TestPolicy_ConfinesPodUpdatesToImagesAndMarks(t *testing.T) {
	t.Parallel()
	const (
		ungate = `[{"op":"remove","path":"/spec/schedulingGates/1"}]`
		local  = "localhost:5001/policy/waiting:local"
		failed = `{"spec.containers{c0}":"registry.invalid/else:1"}`
		evil   = "evil.example.com/x:1"

		notOurs, exempt, images = "gated or rewrote", "exempt namespace", "to the original image"
		record, spec, marks     = "record an image", "a pod's spec", "only change its own annotations"
		metadata                = "a pod's metadata"
	)
	pods := policyPods(t)
	for name, tt := range map[string]struct{ pod, patch, refusal string }{
		"ungating and pinning":        {"gated", joinPatches(ungate, replaceImage(local+"@"+digestOf("x"))), ""},
		"ungating and restoring":      {"gated", joinPatches(ungate, replaceImage("policy/waiting:local")), ""},
		"showing progress":            {"gated", addAnnotation(config.ProgressAnnotation, "pushing 1 of 2 MB"), ""},
		"healing":                     {"failing", joinPatches(replaceImage(local), setAnnotations(config.OriginalsAnnotation, failed)), ""},
		"healing a large pod":         {"large", joinPatches(replaceImage(local), setAnnotations(config.OriginalsAnnotation, `{"spec.containers{c0}":"registry.invalid/else:0"}`)), ""},
		"pinning a rewritten image":   {"rewritten", replaceImage(local), ""},
		"restoring a rewritten image": {"rewritten", replaceImage("policy/present:local"), ""},
		"a mark in kube-system":       {"exempt", setAnnotations(config.HealedAnnotation, "{}"), ""},

		"an image of a healthy pod":      {"healthy", replaceImage(local), notOurs},
		"a mark of a healthy pod":        {"healthy", setAnnotations(config.OriginalsAnnotation, failed), notOurs},
		"an image in kube-system":        {"exempt", replaceImage(local), exempt},
		"a foreign image, gated":         {"gated", replaceImage(evil), images},
		"a foreign image, failing":       {"failing", replaceImage(evil), images},
		"a foreign image, rewritten":     {"rewritten", replaceImage(evil), images},
		"an image recorded by the patch": {"failing", joinPatches(replaceImage(evil), setAnnotations(config.OriginalsAnnotation, failed)), images},
		"a record of a foreign image":    {"failing", setAnnotations(config.OriginalsAnnotation, `{"spec.containers{c0}":"`+evil+`"}`), record},
		"an escaped record":              {"failing", setAnnotations(config.OriginalsAnnotation, `{"spec.containers{c0}":"\u0065vil.example.com/x"}`), record},
		"a foreign gate":                 {"gated", `[{"op":"remove","path":"/spec/schedulingGates/0"}]`, "only remove its own scheduling gate"},
		"a node selector":                {"gated", `[{"op":"add","path":"/spec/nodeSelector","value":{"a":"b"}}]`, spec},
		"a deadline":                     {"failing", `[{"op":"add","path":"/spec/activeDeadlineSeconds","value":1}]`, spec},
		"a toleration":                   {"failing", `[{"op":"add","path":"/spec/tolerations/-","value":{"operator":"Exists"}}]`, spec},
		"the opt-out":                    {"gated", addAnnotation(config.RewriteAnnotation, "false"), marks},
		"another annotation":             {"failing", setAnnotations("a", "b"), marks},
		"a removed annotation":           {"gated", `[{"op":"remove","path":"/metadata/annotations/theirs"}]`, marks},
		"a label":                        {"gated", `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`, metadata},
		"a finalizer":                    {"failing", `[{"op":"add","path":"/metadata/finalizers","value":["example.com/a"]}]`, metadata},
		"an owner":                       {"failing", `[{"op":"add","path":"/metadata/ownerReferences","value":[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"b"}]}]`, metadata},
		"a command":                      {"gated", `[{"op":"add","path":"/spec/containers/0/command","value":["sh"]}]`, "pod updates may not change fields"},
		"a security context":             {"failing", `[{"op":"add","path":"/spec/containers/0/securityContext","value":{"privileged":true}}]`, "pod updates may not change fields"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, patchAsWebhook(t, pods[tt.pod], tt.patch), tt.refusal)
		})
	}
}

// patchAsWebhook applies a JSON patch to the pod as a dry run, with the rights of the webhook's ServiceAccount.
func patchAsWebhook(t *testing.T, p *corev1.Pod, patch string) error {
	t.Helper()
	return webhookClient(t).Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(patch)), client.DryRunAll)
}

// wantRefusal fails the test unless the error has the given reason. If the reason is "", the error must be nil.
func wantRefusal(t *testing.T, err error, reason string) {
	t.Helper()
	if (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
		t.Errorf("error = %v, want %q", err, reason)
	}
}

func TestPolicy_ConfinesTheServiceAccountToItsOwnObjects(t *testing.T) {
	needVersion(t, "1.30", "ValidatingAdmissionPolicies by default")
	t.Parallel()
	ours := metav1.ObjectMeta{Namespace: config.Name, Name: config.Name}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: config.Name, Name: name} }
	merge := func(object client.Object, patch string) func(client.Client) error {
		return func(webhook client.Client) error {
			return webhook.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
		}
	}
	create := func(object client.Object, options ...client.CreateOption) func(client.Client) error {
		return func(webhook client.Client) error { return webhook.Create(t.Context(), object, options...) }
	}
	binding := func() client.Object {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: config.Name}}
	}
	role := func() client.Object { return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: config.Name}} }
	for name, tt := range map[string]struct {
		request func(client.Client) error
		refusal string
	}{
		"another owner":       {merge(binding(), `{"metadata":{"ownerReferences":[]}}`), ""},
		"a probe":             {create(&corev1.ConfigMap{ObjectMeta: meta("policy-probe")}, client.DryRunAll), ""},
		"its own certificate": {create(&corev1.Secret{ObjectMeta: meta(config.ServingSecret)}, client.DryRunAll), "already exists"},
		"its own Lease":       {create(&coordinationv1.Lease{ObjectMeta: ours}, client.DryRunAll), "already exists"},
		"another subject":     {merge(binding(), `{"subjects":[{"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":"system:authenticated"}]}`), "rules nor the subjects"},
		"fewer rules":         {merge(role(), `{"rules":[]}`), "rules nor the subjects"},
		"more rules":          {merge(role(), `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`), "not currently held"},
		"a label of its role": {merge(role(), `{"metadata":{"labels":{"rbac.authorization.k8s.io/aggregate-to-view":"true"}}}`), "only change the owner of its role"},
		"another Secret":      {create(&corev1.Secret{ObjectMeta: meta("policy-other")}), "only create the Secret of its serving certificate"},
		"a ConfigMap":         {create(&corev1.ConfigMap{ObjectMeta: meta("policy-other")}), "as a dry run"},
		"another Lease":       {create(&coordinationv1.Lease{ObjectMeta: meta("policy-other")}), "only create its own Lease"},
		"a token Secret":      {create(tokenSecret()), "only create the Secret of its serving certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, tt.request(webhookClient(t)), tt.refusal)
		})
	}
}

// tokenSecret returns a Secret that Kubernetes would fill with a token for the ServiceAccount.
func tokenSecret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: config.Name, Name: "policy-token",
			Annotations: map[string]string{corev1.ServiceAccountNameKey: config.Name},
		},
		Type: corev1.SecretTypeServiceAccountToken,
	}
}

func TestPolicy_AllowsOtherUsers(t *testing.T) {
	t.Parallel()
	p := create(t, pod(newNamespace(t), "registry.invalid/else:1"))
	for _, patch := range []string{replaceImage("registry.invalid/other:1"), `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`} {
		if err := shared.Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(patch))); err != nil {
			t.Errorf("patching a pod as another user: %v", err)
		}
	}
}
