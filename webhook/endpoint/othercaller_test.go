package endpoint_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"k8s.io/apimachinery/pkg/runtime"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/endpoint"
	"kind-local-registry/webhook/lookup"
	"kind-local-registry/webhook/webhooktest"
)

// failingRecorder is a Recorder that fails the test if an Event is written.
type failingRecorder struct{ t *testing.T }

func (r failingRecorder) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) {
	r.t.Errorf("Event %s: %s", reason, fmt.Sprintf(note, args...))
}

func TestServeHTTP_AnswersStrangersWithoutSideEffects(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, funcr.New(func(_, line string) { t.Errorf("logged %s", line) }, funcr.Options{}))
	pusher := &webhooktest.SlowPusher{}
	h.Pushes = webhook.NewPushes(t.Context(), pusher, time.Minute, h.Log)
	h.Events = failingRecorder{t}
	server := newServer(h)
	pod := webhooktest.Document(`{"metadata":{"name":"db-0","ownerReferences":[{"apiVersion":"v1","kind":"X","name":"x","uid":"u","controller":true}]},"spec":{
		"containers":[{"name":"a","image":"registry/x"},{"name":"b","image":"down/x"}],
		"volumes":[{"name":"v","image":{"reference":"host/x"}}]}}`)
	for _, path := range []string{"/", "/pods", "/pods/", "/pods/other-token", "/pods/some-token/", "/some-token", "some-token"} {
		for range 10 { // more recreations than the loop guard allows
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://webhook", strings.NewReader(pod))
			if err != nil {
				t.Fatal(err)
			}
			r.URL.Path = path
			answer := record(server, r)
			if got := webhooktest.Response(t, answer.Body.Bytes()); !got.Allowed || !strings.Contains(string(got.Patch), webhooktest.Digest) {
				t.Errorf("%s: answered %s, want a patch", path, answer.Body)
			}
		}
	}
	record(server, strangers(t, "not JSON"))
	if pusher.Pushed > 0 {
		t.Error("an image was pushed")
	}
	quiet := webhooktest.NewHandler(t, logr.Discard())
	quiet.Guard = h.Guard
	answer, err := quiet.Answer(t.Context(), []byte(pod))
	if err != nil || !strings.Contains(string(webhooktest.Response(t, answer).Patch), webhooktest.Digest) {
		t.Error("the loop guard has counted pods from strangers")
	}
}

func TestServeHTTP_TreatsAllAsStrangersWithoutAToken(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, funcr.New(func(_, line string) { t.Errorf("logged %s", line) }, funcr.Options{}))
	server := endpoint.New(h, func() string { return "" })
	for _, path := range []string{"/pods", "/pods/", "/pods/some-token"} {
		webhooktest.Response(t, post(server, path, webhooktest.Document(`{"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`)).Body.Bytes())
	}
}

// lookerFunc is a function that implements Looker.
type lookerFunc func(ctx context.Context, name rewrite.Name) (rewrite.Presence, error)

func (f lookerFunc) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	return f(ctx, name)
}

func TestServeHTTP_AnswersTheAPIServerBesideStrangers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := webhooktest.NewHandler(t, logr.Discard())
		ctx, end := context.WithCancel(t.Context())
		asked := lookerFunc(func(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
			if strings.Contains(name.String(), "silent") {
				<-ctx.Done()
				return rewrite.Presence{}, ctx.Err()
			}
			return webhooktest.World{}.Lookup(ctx, name)
		})
		lookups := lookup.NewCache(ctx, asked, webhook.NewMetrics().LookedUp)
		h.Decider.Looker = lookups
		server := newServer(h)
		var sending sync.WaitGroup
		for i := range 1000 {
			var silent []string
			for j := range 50 {
				silent = append(silent, fmt.Sprintf(`{"name":"a","image":"silent/i%d-%d"}`, i, j))
			}
			sending.Go(func() {
				post(server, "/pods", webhooktest.Document(`{"spec":{"containers":[`+strings.Join(silent, ",")+`]}}`))
			})
		}
		synctest.Wait() // wait until the strangers' lookups hang
		start := time.Now()
		answer := post(server, knownPath, webhooktest.Document(`{"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`))
		if took := time.Since(start); took > 0 || len(webhooktest.Response(t, answer.Body.Bytes()).Patch) == 0 {
			t.Errorf("answered after %s: %s, want a patch immediately", took, answer.Body)
		}
		sending.Wait()
		end()
		lookups.Wait()
	})
}
