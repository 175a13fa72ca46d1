package charts_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"kind-local-registry/config"
)

func TestRestarts_NeedTheirRightsOnlyIfSwitchedOn(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		objects := render(t, map[string]any{"restartOnRebuild": on})
		got := map[string][]string{}
		for _, rule := range find[rbacv1.ClusterRole](t, objects, "ClusterRole", config.Name).Rules {
			for _, resource := range rule.Resources {
				if slices.Contains(rule.APIGroups, "apps") {
					got[resource] = rule.Verbs
				}
			}
		}
		want := map[string][]string{}
		if on {
			patch, list := []string{"get", "list", "watch", "patch"}, []string{"list"}
			want = map[string][]string{
				"deployments": patch, "statefulsets": patch, "daemonsets": patch, "replicasets": list, "controllerrevisions": list,
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("restartOnRebuild %v: rights on apps (-want +got):\n%s", on, diff)
		}
		args := find[appsv1.Deployment](t, objects, "Deployment", config.Name).Spec.Template.Spec.Containers[0].Args
		if slices.Contains(args, "--restart-on-rebuild") != on {
			t.Errorf("restartOnRebuild %v: arguments %q", on, args)
		}
		policy := find[admissionv1.ValidatingAdmissionPolicy](t, objects, "ValidatingAdmissionPolicy", config.RestartPolicy)
		if (policy != nil) != on {
			t.Errorf("restartOnRebuild %v: policy %v", on, policy)
		}
	}
}

func TestRestartPolicy_AppliesOnlyToTheServiceAccount(t *testing.T) {
	t.Parallel()
	objects := render(t, map[string]any{"restartOnRebuild": true})
	policy := find[admissionv1.ValidatingAdmissionPolicy](t, objects, "ValidatingAdmissionPolicy", config.RestartPolicy)
	want := []admissionv1.MatchCondition{{
		Name: "of-the-webhook", Expression: "request.userInfo.username == '" + config.ServiceAccountUser() + "'",
	}}
	if diff := cmp.Diff(want, policy.Spec.MatchConditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	binding := find[admissionv1.ValidatingAdmissionPolicyBinding](t, objects, "ValidatingAdmissionPolicyBinding", config.RestartPolicy)
	if binding == nil || !slices.Equal(binding.Spec.ValidationActions, []admissionv1.ValidationAction{admissionv1.Deny}) {
		t.Errorf("binding = %v, want action Deny", binding)
	}
}
