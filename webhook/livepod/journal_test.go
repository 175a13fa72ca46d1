package livepod

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/internal/rewrite"
)

// replicaLogs contains the logs of two replicas, in which the newest line about spec.containers{app} is in the first one.
var replicaLogs = map[string]string{
	"replica-a": `l,"msg":"image decided"}
{"time":"2026-11-29T03:00:00Z","level":"INFO","msg":"image decided","namespace":"default","pod":"web","field":"spec.containers{app}","image":"a:1","reason":"LookupUnavailable","error":"no answer"}
{"time":"2026-11-29T03:00:02Z","level":"INFO","msg":"image decided","namespace":"default","pod":"web","field":"spec.containers{app}","image":"a:1","reason":"Rewritten","rewritten":"localhost:5001/a:1"}
{"time":"2026-11-29T03:00:03Z","level":"INFO","msg":"image pushed","namespace":"default","pod":"web","field":"spec.containers{app}","error":"image decided"}
`,
	"replica-b": `{"time":"2026-11-29T03:00:01Z","level":"INFO","msg":"image decided","namespace":"default","pod":"web","field":"spec.containers{app}","image":"a:1","reason":"NotOnHost"}
{"time":"2026-11-29T03:00:01Z","level":"INFO","msg":"image decided","namespace":"other","pod":"web","field":"spec.containers{app}","image":"a:1","reason":"OptedOut"}
`,
}

func readLogs(t *testing.T) *journal {
	t.Helper()
	read := &journal{decisions: map[place]Admission{}}
	for replica, log := range replicaLogs {
		if err := read.read(strings.NewReader(log), replica); err != nil {
			t.Fatal(err)
		}
	}
	return read
}

func TestJournal_KeepsTheNewestDecisionOfAllReplicas(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return time.Date(2026, 11, 29, 3, 0, second, 0, time.UTC) }
	want := map[place]Admission{
		{"default", "web", "spec.containers{app}"}: {Time: at(2), Reason: rewrite.Rewritten, Replica: "replica-a"},
		{"other", "web", "spec.containers{app}"}:   {Time: at(1), Reason: rewrite.OptedOut, Replica: "replica-b"},
	}
	if diff := cmp.Diff(want, readLogs(t).decisions); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

func TestRecall_TellsWhyNoReplicaHasALine(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	before, after := Replica{Pod: "r", Since: created.Add(-time.Hour)}, Replica{Pod: "r", Since: created.Add(time.Hour)}
	broken := Replica{Pod: "r", Since: before.Since, Err: errors.New("no route to host")}
	mirror := map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	for name, test := range map[string]struct {
		namespace   string
		annotations map[string]string
		read        *journal
		want        string
	}{
		"exempt namespace":    {"kube-system", nil, nil, "in the exempt namespace kube-system"},
		"mirror pod":          {"default", mirror, nil, "mirrors of static pods"},
		"no log":              {"default", nil, nil, "could not be read"},
		"no replica":          {"default", nil, &journal{}, "no pod"},
		"one log is unknown":  {"default", nil, &journal{replicas: []Replica{before, broken}}, "the webhook's pod r could not be read: no route"},
		"logs begin too late": {"default", nil, &journal{replicas: []Replica{after}}, "begins after the pod was created"},
		"webhook was away":    {"default", nil, &journal{replicas: []Replica{before, after}}, "it was unavailable"},
	} {
		pod := Pod{
			Found: Found{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Namespace: test.namespace, Name: "web", Annotations: test.annotations, CreationTimestamp: metav1.NewTime(created),
			}}},
			Images: make([]Image, 1),
		}
		pod.recall(test.read)
		if got := pod.Images[0]; got.Admission != nil || !strings.Contains(got.Unlogged, test.want) {
			t.Errorf("%s: admission %v, unlogged %q, want one about %q", name, got.Admission, got.Unlogged, test.want)
		}
	}
}
