//go:build e2e

package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// explainEntry is an entry in the output of setup explain -o json. It describes one image field.
type explainEntry struct {
	Kind, Namespace, Name, Field   string
	Image, Outcome, Reason, Detail string
	Rewritten, Digest              string
}

// setupExplain runs setup explain with manifests on stdin, and returns its stdout.
func setupExplain(t *testing.T, manifests string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), suite.setup, append([]string{"explain", "--cluster", clusterName}, args...)...)
	cmd.Stdin = strings.NewReader(manifests)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("setup explain %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// explain runs setup explain -o json and returns the entries.
func explain(t *testing.T, manifests string, args ...string) []explainEntry {
	t.Helper()
	out := setupExplain(t, manifests, append(args, "-o", "json")...)
	var entries []explainEntry
	if err := json.Unmarshal([]byte(out), &entries); err != nil {
		t.Fatalf("parsing the output of setup explain -o json: %v\n%s", err, out)
	}
	return entries
}

// manifestStream contains a Deployment, a CronJob and a pod in kube-system, all with the same image.
const manifestStream = `# an application
apiVersion: apps/v1
kind: Deployment
metadata: {name: explained}
spec:
  selector: {matchLabels: {app: explained}}
  template:
    metadata: {labels: {app: explained}}
    spec:
      containers:
        - name: app # host-only
          image: IMAGE
          imagePullPolicy: Never
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: explained}
spec:
  schedule: "0 3 1 1 *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - {name: app, image: IMAGE}
            - {name: other, image: "example.invalid/not/on-host:1"}
---
apiVersion: v1
kind: Pod
metadata: {name: explained, namespace: kube-system}
spec:
  containers:
    - {name: app, image: IMAGE}
`

func TestExplain_ReportsRewriteAndReasonOfEachImage(t *testing.T) {
	image := buildImage(t, "e2e/explained:local", "explained")
	manifests := strings.ReplaceAll(manifestStream, "IMAGE", image)
	tag := registry + "/" + image
	want := []explainEntry{
		{Kind: "Deployment", Namespace: "default", Reason: "RewrittenPushing", Outcome: "pushed first", Rewritten: tag},
		{Kind: "CronJob", Namespace: "default", Reason: "RewrittenPushing", Outcome: "pushed first", Rewritten: tag},
		{Kind: "CronJob", Namespace: "default", Field: "spec.containers{other}", Image: "example.invalid/not/on-host:1", Reason: "NotOnHost", Outcome: "left alone"},
		{
			Kind: "Pod", Namespace: "kube-system", Reason: "ExcludedByRule", Outcome: "left alone",
			Detail: "exempt namespace kube-system",
		},
	}
	for i := range want {
		want[i].Name = "explained"
		if want[i].Field == "" {
			want[i].Field, want[i].Image = "spec.containers{app}", image
		}
	}
	if diff := cmp.Diff(want, explain(t, manifests, "-f", "-")); diff != "" {
		t.Errorf("before the push (-want +got):\n%s", diff)
	}

	digest := mustPush(t, image)[0].Digest
	for i := range want[:2] {
		want[i].Reason, want[i].Outcome = "Rewritten", "rewritten"
		want[i].Rewritten, want[i].Digest = tag+"@"+digest, digest
	}
	if diff := cmp.Diff(want, explain(t, manifests, "-f", "-")); diff != "" {
		t.Errorf("after the push (-want +got):\n%s", diff)
	}
}

func TestExplain_PredictsTheImageOfAPod(t *testing.T) {
	image := buildImage(t, "e2e/explained-image:local", "explained")
	mustPush(t, image)
	explained := explain(t, "", image)
	if len(explained) != 1 {
		t.Fatalf("%d entries, want 1: %+v", len(explained), explained)
	}
	pod, _ := createPod(t, "explained-image", namespace, podSpec(image))
	if got := pod.Spec.Containers[0].Image; got != explained[0].Rewritten {
		t.Errorf("image of the pod = %s, want %s, as setup explain reports", got, explained[0].Rewritten)
	}
	if excluded := explain(t, "", "-n", "kube-system", image); excluded[0].Reason != "ExcludedByRule" {
		t.Errorf("in the namespace kube-system: %+v, want ExcludedByRule", excluded[0])
	}
}

func TestExplain_PrintsManifestsThatRun(t *testing.T) {
	for name, pushed := range map[string]bool{"explained-pushed": true, "explained-unpushed": false} {
		t.Run(name, func(t *testing.T) {
			image := buildImage(t, "e2e/"+name+":local", name)
			want := registry + "/" + image
			if pushed {
				want = mustPush(t, image)[0].Rewritten
			}
			deployment, _, _ := strings.Cut(manifestStream, "---\n")
			manifests := strings.NewReplacer("IMAGE", image, "explained", name).Replace(deployment)
			applied := setupExplain(t, manifests, "-f", "-", "-o", "yaml", "--apply")
			if !strings.Contains(applied, "image: "+want+"\n") || strings.Contains(applied, "image-push") || !strings.Contains(applied, "# host-only") {
				t.Errorf("setup explain --apply: want image %s, no gate and the comment:\n%s", want, applied)
			}
			apply(t, name, applied)
			if got := proxy(t, awaitPods(t, name, 1, "")[0].Name); !strings.HasPrefix(got, name) {
				t.Errorf("pod answers %q, want %q first", got, name)
			}
		})
	}
}

// apply applies the manifests with kubectl. The Deployment with the given name is deleted when the test ends.
func apply(t *testing.T, name, manifests string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "kubectl", "--kubeconfig", suite.kubeconfig, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s\n%s", err, out, manifests)
	}
	t.Cleanup(func() {
		_, _ = backgroundCommand("kubectl", "--kubeconfig", suite.kubeconfig, "delete", "deployment", name)
	})
}
