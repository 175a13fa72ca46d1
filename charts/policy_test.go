package charts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"kind-local-registry/config"
)

// policyNames returns the names of the policies that limit the webhook's ServiceAccount.
func policyNames() []string { return []string{config.PodPolicy, config.RightsPolicy} }

func TestPolicies_ApplyOnlyToTheServiceAccount(t *testing.T) {
	t.Parallel()
	objects := render(t, nil)
	want := []admissionv1.MatchCondition{{
		Name: "of-the-webhook", Expression: "request.userInfo.username == '" + config.ServiceAccountUser() + "'",
	}}
	for _, name := range policyNames() {
		policy := find[admissionv1.ValidatingAdmissionPolicy](t, objects, "ValidatingAdmissionPolicy", name)
		if policy == nil {
			t.Fatalf("no policy %s", name)
		}
		if diff := cmp.Diff(want, policy.Spec.MatchConditions); diff != "" {
			t.Errorf("conditions of %s (-want +got):\n%s", name, diff)
		}
		binding := find[admissionv1.ValidatingAdmissionPolicyBinding](t, objects, "ValidatingAdmissionPolicyBinding", name)
		if binding == nil || binding.Spec.PolicyName != name ||
			!slices.Equal(binding.Spec.ValidationActions, []admissionv1.ValidationAction{admissionv1.Deny}) {
			t.Errorf("binding of %s = %v, want action Deny", name, binding)
		}
	}
}

func TestPolicies_AreAbsentWhenDisabled(t *testing.T) {
	t.Parallel()
	for _, object := range render(t, map[string]any{"policy": map[string]any{"enabled": false}}) {
		if strings.HasPrefix(object.GetKind(), "ValidatingAdmissionPolicy") {
			t.Errorf("%s %s exists, want none", object.GetKind(), object.GetName())
		}
	}
}

// The policy must allow everything that the webhook patches, so it must name the gate and the annotations.
func TestPodPolicy_NamesGateAndAnnotations(t *testing.T) {
	t.Parallel()
	values := map[string]any{"registry": map[string]any{"host": "localhost:5002"}}
	policy := find[admissionv1.ValidatingAdmissionPolicy](t, render(t, values), "ValidatingAdmissionPolicy", config.PodPolicy)
	if policy == nil {
		t.Fatalf("no policy %s", config.PodPolicy)
	}
	var text strings.Builder
	for _, v := range policy.Spec.Variables {
		text.WriteString(v.Expression + "\n")
	}
	for _, v := range policy.Spec.Validations {
		text.WriteString(v.Expression + "\n")
	}
	for _, want := range append(config.ExemptNamespaces(), config.Gate, config.OriginalsAnnotation, config.HealedAnnotation,
		config.ProgressAnnotation, "localhost:5002/") {
		if !strings.Contains(text.String(), want) {
			t.Errorf("policy does not name %s", want)
		}
	}
}

func TestNetworkPolicy_AllowsOnlyGivenAddressesToWebhook(t *testing.T) {
	t.Parallel()
	if policy := find[networkingv1.NetworkPolicy](t, render(t, nil), "NetworkPolicy", config.Name); policy != nil {
		t.Error("NetworkPolicy exists although no addresses are given")
	}
	values := map[string]any{"networkPolicy": map[string]any{"apiServerCIDRs": []any{"172.18.0.2/32", "fc00::2/128"}}}
	policy := find[networkingv1.NetworkPolicy](t, render(t, values), "NetworkPolicy", config.Name)
	if policy == nil {
		t.Fatal("no NetworkPolicy")
	}
	from := map[int32][]string{}
	for _, rule := range policy.Spec.Ingress {
		for _, port := range rule.Ports {
			from[port.Port.IntVal] = nil
			for _, peer := range rule.From {
				from[port.Port.IntVal] = append(from[port.Port.IntVal], peer.IPBlock.CIDR)
			}
		}
	}
	want := map[int32][]string{9443: {"172.18.0.2/32", "fc00::2/128"}, 8080: nil, 8081: nil}
	if diff := cmp.Diff(want, from); diff != "" {
		t.Errorf("addresses by port (-want +got):\n%s", diff)
	}
}
