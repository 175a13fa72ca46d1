//go:build api

package api

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestPolicy_ConfinesRestartsToTheAnnotation(t *testing.T) {
	t.Parallel()
	needVersion(t, "1.30", "ValidatingAdmissionPolicies by default")
	ns := newNamespace(t)
	const image = "registry.invalid/policy:1"
	asking, silent := asksForRestarts(newDeployment(ns, "asking", image)), newDeployment(ns, "silent", image)
	daemon, set := asksForRestarts(newDaemonSet(ns, "asking", image)), asksForRestarts(newStatefulSet(ns, "asking", image))
	for _, workload := range []client.Object{asking, silent, daemon, set} {
		createWorkload(t, workload)
	}
	const (
		restart  = `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
		annotate = `{"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}}`
		setImage = `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"x"}]}}}}`
	)
	webhook := webhookClient(t)
	patch := func(workload client.Object, patch string) error {
		return webhook.Patch(t.Context(), workload.DeepCopyObject().(client.Object),
			client.RawPatch(types.StrategicMergePatchType, []byte(patch)), client.DryRunAll)
	}
	await(t, "confined by the policy", func() bool { return patch(silent, restart) != nil })
	for name, tt := range map[string]struct {
		workload       client.Object
		patch, refusal string
	}{
		"a Deployment":            {asking, restart, ""},
		"a DaemonSet":             {daemon, restart, ""},
		"a StatefulSet":           {set, restart, ""},
		"one that does not ask":   {silent, restart, "workloads that ask for it"},
		"the replicas":            {asking, `{"spec":{"replicas":3}}`, "only change the pod template"},
		"an image":                {asking, setImage, "only change the metadata"},
		"a label of the template": {asking, `{"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}`, "only change annotations"},
		"another annotation":      {asking, annotate, "annotation kubectl.kubernetes.io/restartedAt"},
		"a label":                 {asking, `{"metadata":{"labels":{"a":"b"}}}`, "may change nothing"},
		"the opt-in":              {asking, `{"metadata":{"annotations":{"a":"b"}}}`, "may change no annotation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, patch(tt.workload, tt.patch), tt.refusal)
		})
	}
}
