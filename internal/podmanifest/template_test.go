package podmanifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTemplates_ReturnPodsAsAdmissionGetsThem(t *testing.T) {
	t.Parallel()
	got := templates(t, read(t, deployment))[0]
	want := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Namespace: "shop", Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "migrate", Image: "shop/migrate:1", ImagePullPolicy: corev1.PullIfNotPresent}},
			Containers: []corev1.Container{
				{Name: "web", Image: "shop/web:local", ImagePullPolicy: corev1.PullNever, Args: []string{"yes", "serve"}},
				{Name: "proxy", Image: "envoy", ImagePullPolicy: corev1.PullAlways},
			},
			Volumes: []corev1.Volume{{Name: "models", VolumeSource: corev1.VolumeSource{
				Image: &corev1.ImageVolumeSource{Reference: "shop/models", PullPolicy: corev1.PullAlways},
			}}},
		},
	}
	if diff := cmp.Diff(want, got.Pod); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
}

func TestTemplates_FindPodsByStructure(t *testing.T) {
	t.Parallel()
	const podSpec = "{spec: {containers: [{image: a}]}}"
	for name, tt := range map[string]struct {
		text string
		want string // each template's kind, name, namespace and line, and the pod's name or generateName
	}{
		"a pod":                  {pod("a"), "Pod a :1 a"},
		"a pod without name":     {"apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-, namespace: b}\n", "Pod a- b:1 a-"},
		"a deployment":           {deployment, "Deployment web shop:9 web-"},
		"items of lists":         {list, "CronJob nightly- :15 nightly--, Pod one :22 one"},
		"a pod template":         {"apiVersion: v1\nkind: PodTemplate\nmetadata: {name: a}\ntemplate: " + podSpec, "PodTemplate a :4 a-"},
		"a custom resource":      {"apiVersion: x/v1\nkind: Rollout\nmetadata: {name: a}\nspec: {template: " + podSpec + "}", "Rollout a :4 a-"},
		"several in one object":  {"apiVersion: x/v1\nkind: Set\nspec:\n  groups:\n  - template: " + podSpec + "\n  - a:\n    - " + podSpec, "Set  :5 -, Set  :7 -"},
		"behind an alias":        {anchored, "Pair pair :5 pair-, Pair pair :12 pair-, Pair pair :14 pair-"},
		"a service":              {"apiVersion: v1\nkind: Service\nspec: {ports: []}\n", ""},
		"no pod in the metadata": {"apiVersion: v1\nkind: Service\nmetadata: {x: " + podSpec + "}\nstatus: " + podSpec, ""},
		"no template":            {"apiVersion: x/v1\nkind: Prometheus\nspec: {containers: [{name: a}]}\n", ""},
		"a list of another kind": {"apiVersion: x/v1\nkind: AllowList\nmetadata: {name: a}\nspec: {template: " + podSpec + "}", "AllowList a :4 a-"},
		"a definition of kinds": {
			"apiVersion: v1\nkind: CustomResourceDefinition\nspec: {schema: {properties: {spec: {properties: {containers: {type: array}}}}}}\n", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, found := range templates(t, read(t, tt.text)) {
				got = append(got, fmt.Sprintf("%s %s %s:%d %s%s",
					found.Kind, found.Name, found.Pod.Namespace, found.Line, found.Pod.Name, found.Pod.GenerateName))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("templates (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTemplates_ExpandMergeKeys(t *testing.T) {
	t.Parallel()
	documents := read(t, `apiVersion: v1
kind: Pod
base: &base {image: base:1, imagePullPolicy: Never}
more: &more {image: more:1, stdin: true}
spec:
  containers:
  - {<<: *base, name: merged}
  - {<<: [*more, *base], name: first wins}
  - {<<: *base, name: last wins, image: own:1}
  - {name: as with kubectl, image: own:1, <<: *base}
  - {name: a string, "<<": *base, image: own:1}
`)
	want := []corev1.Container{
		{Name: "merged", Image: "base:1", ImagePullPolicy: corev1.PullNever},
		{Name: "first wins", Image: "more:1", ImagePullPolicy: corev1.PullNever, Stdin: true},
		{Name: "last wins", Image: "own:1", ImagePullPolicy: corev1.PullNever},
		{Name: "as with kubectl", Image: "base:1", ImagePullPolicy: corev1.PullNever},
		{Name: "a string", Image: "own:1", ImagePullPolicy: corev1.PullIfNotPresent},
	}
	if diff := cmp.Diff(want, templates(t, documents)[0].Pod.Spec.Containers); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
}

func TestTemplates_ReturnErrorsAndValidPods(t *testing.T) {
	t.Parallel()
	documents := read(t, `apiVersion: x/v1
kind: Set
metadata: {name: a}
spec:
  first:
    spec: {containers: {a: b}}
  second:
    spec: {containers: [{image: a:1}]}
  third:
    spec: {containers: [{image: 1}]}
`)
	found, err := documents[0].Templates()
	if len(found) != 1 || found[0].Line != 8 {
		t.Errorf("Templates = %v, want the second", found)
	}
	for _, want := range []string{
		"standard input:6: Set a: the API server would refuse this pod: json: cannot unmarshal object",
		"standard input:10: Set a: the API server would refuse this pod: json: cannot unmarshal number",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Templates = %v, want an error with %q", err, want)
		}
	}
}
