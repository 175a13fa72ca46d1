package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/webhook/livepod"
)

// liveNow is when the tests print someObjects.
var liveNow = time.Date(2026, 11, 29, 3, 10, 0, 0, time.UTC)

const (
	liveDigest  = "sha256:661fbdd1e400aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	otherDigest = "sha256:77aa00bb11ccaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

// someObjects returns a document whose pods together have a value in every field.
func someObjects() report.ExplainedObjects {
	const app = "localhost:5001/example/app:local@"
	admitted := func(second, reason, detail string) *report.Admission {
		return &report.Admission{Time: "2026-11-29T03:06:" + second + "Z", Reason: reason, Detail: detail, Replica: "kind-local-registry-5c8f-xk2p4"}
	}
	web := func(name, node, second string) report.ExplainedPod {
		return report.ExplainedPod{
			Namespace: "shop", Name: name, OwnerKind: "Deployment", OwnerName: "web", Created: "2026-11-29T03:06:00Z", Phase: "Running", Node: node,
			Images: []report.LiveImage{{
				Field: "spec.containers{web}", Original: "example/app:local", Image: app + liveDigest, Digest: liveDigest, State: "running",
				Admission: admitted(second, "Rewritten", ""), Build: "newer",
				Now: &report.Now{Outcome: "rewritten", Reason: "Rewritten", Rewritten: app + otherDigest, Digest: otherDigest},
			}},
		}
	}
	waiting := report.ExplainedPod{
		Namespace: "shop", Name: "big", Created: "2026-11-29T03:06:00Z", Phase: "Pending", Gated: true, Progress: "pushing 412 of 858 MB",
		Images: []report.LiveImage{{
			Field: "spec.containers{big}", Original: "example/big:local", Image: "localhost:5001/example/big:local", State: "not started",
			Admission: admitted("01", "RewrittenPushing", ""), Build: "pushing",
			Now: &report.Now{Outcome: "pushed first", Reason: "RewrittenPushing", Rewritten: "localhost:5001/example/big:local"},
		}},
	}
	mixed := report.ExplainedPod{
		Namespace: "shop", Name: "mixed", Created: "2026-11-29T03:06:00Z", Phase: "Pending", Node: "dev-worker", Heals: 2, Healed: "2026-11-29T03:09:00Z",
		Images: []report.LiveImage{
			{
				Field: "spec.initContainers{init}", Original: "redis:7", Image: "redis:7", Digest: otherDigest, State: "ended",
				Unlogged: "the log of the webhook begins after the pod was created", Build: "absent",
				Now: &report.Now{Outcome: "left alone", Reason: "NotOnHost"},
			},
			{
				Field: "spec.containers{app}", Original: "example/helo:local", Image: "example/helo:local", State: "waiting", Waiting: "ImagePullBackOff",
				Admission: admitted("01", "NotOnHost", ""), Build: "absent", Now: &report.Now{Outcome: "left alone", Reason: "NotOnHost"},
				Pull: &report.PullFailure{Reason: "ImagePullBackOff", Message: `Failed to pull image "example/helo:local": failed to pull and unpack image ` +
					`"docker.io/example/helo:local": failed to resolve reference "docker.io/example/helo:local": pull access denied`},
			},
			{
				Field: "spec.containers{linked}", Original: "example/app:local", Image: app + liveDigest, Digest: liveDigest, State: "waiting",
				Waiting: "ContainerCreating", Admission: admitted("01", "Rewritten", ""), Build: "current",
				Now:    &report.Now{Outcome: "rewritten", Reason: "Rewritten", Rewritten: app + liveDigest, Digest: liveDigest},
				Layers: &report.NodeLayers{Name: "dev-worker", Cluster: "dev", Layers: 12, Present: 3},
			},
			{
				Field: "spec.volumes{data}", Original: "example/data:1", Image: "example/data:1", State: "not started",
				Admission: admitted("01", "LookupUnavailable", "no answer within 1.5s"), Build: "not used",
				Now:    &report.Now{Outcome: "rewritten", Reason: "Rewritten", Rewritten: "localhost:5001/example/data:1@" + otherDigest, Digest: otherDigest},
				Layers: &report.NodeLayers{Name: "dev-worker", Cluster: "dev", Layers: 12, Unlinkable: "StorageDriver", Detail: "the driver is vfs"},
			},
		},
	}
	document := report.ExplainedObjects{
		Cluster: "dev", Unknown: "the pusher does not answer; run setup up",
		Webhook: []report.WebhookLog{
			{Pod: "kind-local-registry-5c8f-xk2p4", Since: "2026-11-29T02:00:00Z"}, {Pod: "kind-local-registry-5c8f-zz9qq", Error: "no route to host"},
		},
		Pods: []report.ExplainedPod{
			web("web-5d4f-aaaaa", "dev-worker", "02"), waiting, web("web-5d4f-bbbbb", "dev-worker2", "59"), mixed, web("web-5d4f-ccccc", "dev-worker", "02"),
		},
	}
	for i := range document.Pods {
		for k := range document.Pods[i].Images {
			document.Pods[i].Images[k].Remedy = remedy(&document.Pods[i], &document.Pods[i].Images[k])
		}
	}
	return document
}

func TestLiveText_HasABlockForEachState(t *testing.T) {
	t.Parallel()
	got := liveText(someObjects(), liveNow)
	compareGolden(t, "explainlive.txt", got)
	for line := range strings.Lines(got) {
		if line = strings.TrimSuffix(line, "\n"); line != strings.TrimRight(line, " ") {
			t.Errorf("%q ends with a space", line)
		} else if columns := len([]rune(line)); columns > explainWidth {
			t.Errorf("%q has %d columns, want at most %d", line, columns, explainWidth)
		}
	}
}

func TestLiveText_GroupsEqualPodsOnly(t *testing.T) {
	t.Parallel()
	document := someObjects()
	web := document.Pods[0]
	other := web
	other.Images = []report.LiveImage{web.Images[0]}
	other.Images[0].Digest = otherDigest
	alone := web
	alone.OwnerKind, alone.OwnerName = "", ""
	pods := []report.ExplainedPod{alone, alone}
	for range 30 {
		pods = append(pods, web)
	}
	web.Terminating = true
	pods = append(pods, web)
	pods[1].Name = "another"
	var sizes []int
	for _, group := range grouped(append(pods, other)) {
		sizes = append(sizes, len(group))
	}
	if diff := cmp.Diff([]int{1, 1, 30, 1, 1}, sizes); diff != "" {
		t.Errorf("sizes of the groups (-want +got):\n%s", diff)
	}
}

func TestRemedy_FitsTheOwner(t *testing.T) {
	t.Parallel()
	for owner, want := range map[string]string{
		"Deployment": "kubectl rollout restart deployment/web -n shop", "CronJob": "--from=cronjob/web", "Job": "delete job/web and create it again",
		"": "kubectl replace --force", "ReplicaSet": "kubectl delete pod/web-1 -n shop; ReplicaSet web creates it again",
	} {
		pod := report.ExplainedPod{Namespace: "shop", Name: "web-1", OwnerKind: owner, OwnerName: "web"}
		image := &someObjects().Pods[0].Images[0]
		if got := remedy(&pod, image); !strings.Contains(got, want) {
			t.Errorf("remedy for a pod of %q = %q, want %q", owner, got, want)
		}
		pod.Terminating = true
		if got := remedy(&pod, image); got != "" {
			t.Errorf("remedy for a terminating pod of %q = %q, want none", owner, got)
		}
	}
}

// TestRemedy_NamesTheCauseThatADecisionNowDoesNotExamine covers pods that would not be rewritten if they were only created again.
func TestRemedy_NamesTheCauseThatADecisionNowDoesNotExamine(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string][]string{
		"LoopGuard": {"kind-local-registry/rewrite"}, "NoSpace": {"free disk space", "; then ", "kubectl replace"}, "LookupUnavailable": {"kubectl replace"},
	} {
		got := remedy(&report.ExplainedPod{Namespace: "shop", Name: "web-1"}, &report.LiveImage{
			Original: "example/data:1", Image: "example/data:1", State: "not started", Build: "not used",
			Admission: &report.Admission{Reason: reason}, Now: &report.Now{Reason: "Rewritten", Rewritten: "localhost:5001/example/data:1"},
		})
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("remedy for a pod admitted with %s = %q, want %q in it", reason, got, part)
			}
		}
	}
}

func TestPrintLive_TellsAboutObjectsWithoutPods(t *testing.T) {
	t.Parallel()
	target, _ := livepod.Parse("deploy/web")
	options := explainOptions{output: &printer{w: io.Discard}, format: &format{}, namespace: "shop"}
	var out strings.Builder
	if err := options.printLive(&out, report.ExplainedObjects{}, []livepod.Target{target}); err != nil {
		t.Fatal(err)
	}
	const want = "Deployment shop/web has no pods. To see what they would run:\n  kubectl get deployment/web -n shop -o yaml | setup explain -f -\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
