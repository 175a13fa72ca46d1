package webhook_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
	"kind-local-registry/webhook/webhooktest"
)

// newLog returns a log without timestamps, and the buffer that receives its lines.
func newLog() (logr.Logger, *bytes.Buffer) {
	var lines bytes.Buffer
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return logr.FromSlogHandler(slog.NewJSONHandler(&lines, &slog.HandlerOptions{ReplaceAttr: noTime})), &lines
}

func TestHandle_LogsALineForEachDecision(t *testing.T) {
	t.Parallel()
	log, lines := newLog()
	webhooktest.NewHandler(t, log).Handle(t.Context(), creation(`{"metadata":{"name":"web"},"spec":{"containers":[
		{"name":"a","image":"registry/x"},{"name":"b","image":"else/y:1"},{"name":"c","image":"down/z:1"},
		{"name":"d","image":"typo/z:1"}]}}`))

	want := fmt.Sprintf(`{"level":"INFO","msg":"image decided","namespace":"default","pod":"web","field":"spec.containers{a}",`+
		`"image":"registry/x","reason":"Rewritten","rewritten":"localhost:5001/registry/x:latest@%[1]s","digest":"%[1]s"}
{"level":"INFO","msg":"image decided","namespace":"default","pod":"web","field":"spec.containers{b}",`+
		`"image":"else/y:1","reason":"NotOnHost"}
{"level":"INFO","msg":"image decided","namespace":"default","pod":"web","field":"spec.containers{c}",`+
		`"image":"down/z:1","reason":"LookupUnavailable","error":"no route to host"}
{"level":"INFO","msg":"image decided","namespace":"default","pod":"web","field":"spec.containers{d}",`+
		`"image":"typo/z:1","reason":"NotOnHost","error":"did you mean host/z:1?"}
`, webhooktest.Digest)
	if diff := cmp.Diff(want, lines.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestJournal_LogsTheGeneratedName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, lines := followed(t)
		h.Handle(t.Context(), creation(unnamedPod))
		if lines.Len() > 0 {
			t.Errorf("logged before the pod had a name: %s", lines)
		}
		h.Journal.Created(podimage.Read(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", GenerateName: "web-", Name: "web-x7k2p",
				Annotations: map[string]string{"kind-local-registry/original-images": `{"spec.containers{a}":"registry/x"}`},
			},
			Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "a", Image: "localhost:5001/registry/x:latest@" + webhooktest.Digest}, {Name: "b", Image: "else/y:1"},
			}},
		}, webhooktest.RegistryHost))
		wantPods(t, lines, "web-x7k2p", "web-x7k2p")
	})
}

func TestJournal_LogsWithoutANameAfterATimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, lines := followed(t)
		h.Handle(t.Context(), creation(unnamedPod))
		time.Sleep(7 * time.Second)
		synctest.Wait()
		wantPods(t, lines, "web-", "web-")
	})
}

func TestJournal_FlushesWhenItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		h := webhooktest.NewHandler(t, log)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); h.Journal.Follow(ctx) }()
		synctest.Wait()
		h.Handle(t.Context(), creation(unnamedPod))
		cancel()
		<-done
		wantPods(t, lines, "web-", "web-")
	})
}

func TestJournal_LogsDryRunsImmediately(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, lines := followed(t)
		request := creation(unnamedPod)
		request.DryRun = new(true)
		h.Handle(t.Context(), request)
		wantPods(t, lines, "web-", "web-")
	})
}

// unnamedPod is a pod with two containers and no name.
const unnamedPod = `{"metadata":{"generateName":"web-"},"spec":{"containers":[
	{"name":"a","image":"registry/x"},{"name":"b","image":"else/y:1"}]}}`

// followed returns a handler whose journal waits for pods' names, and the buffer that receives the log lines. It must be called
// in a synctest bubble.
func followed(t *testing.T) (*webhook.Handler, *bytes.Buffer) {
	t.Helper()
	log, lines := newLog()
	h := webhooktest.NewHandler(t, log)
	go h.Journal.Follow(t.Context())
	synctest.Wait()
	return h, lines
}

// wantPods fails the test unless the lines are about the given pods, in that order.
func wantPods(t *testing.T, lines *bytes.Buffer, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(lines.String()) {
		_, after, _ := strings.Cut(line, `"pod":"`)
		pod, _, _ := strings.Cut(after, `"`)
		got = append(got, pod)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pods in the log lines (-want +got):\n%s\n%s", diff, lines)
	}
}
