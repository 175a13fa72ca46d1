package webhook_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/webhooktest"
)

// list returns a JSON list that contains the element n times.
func list(n int, element string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
}

func TestAnswer_DecidesAboutAtMostAThousandFields(t *testing.T) {
	t.Parallel()
	container, volume := `{"name":"a","image":"registry/x"}`, `{"name":"v","emptyDir":{}}`
	for name, tt := range map[string]struct {
		spec    string
		decides bool
	}{
		"a thousand containers": {`{"containers":` + list(webhook.MaxFields, container) + `}`, true},
		"one more":              {`{"containers":` + list(webhook.MaxFields+1, container) + `}`, false},
		"one more in total": {`{"initContainers":` + list(300, container) + `,"containers":` + list(300, container) +
			`,"ephemeralContainers":` + list(300, container) + `,"volumes":` + list(101, volume) + `}`, false},
		"one more, in the same list twice": {`{"containers":` + list(501, container) + `,"Containers":` + list(500, container) + `}`, false},
		"many variables":                   {`{"containers":[{"name":"a","image":"registry/x","env":` + list(10_000, `{"name":"a","value":"[{,"}`) + `}]}`, true},
		"far too many variables":           {`{"containers":[{"name":"a","image":"registry/x","env":` + list(50_001, `{}`) + `}]}`, false},
		"text that looks like values":      {`{"containers":[{"name":"a","image":"registry/x","args":["` + strings.Repeat(`[{,\"`, 60_000) + `"]}]}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := webhooktest.NewHandler(t, logr.Discard()).Answer(t.Context(), []byte(webhooktest.Document(`{"spec":`+tt.spec+`}`)))
			if err != nil {
				t.Fatal(err)
			}
			if got := webhooktest.Response(t, answer); !got.Allowed || (len(got.Patch) > 0) != tt.decides {
				t.Errorf("allowed %t with a patch of %d bytes, want a patch: %t", got.Allowed, len(got.Patch), tt.decides)
			}
		})
	}
}

func TestAnswer_NeedsLittleMemoryForAnyRequest(t *testing.T) { //nolint:paralleltest // it measures memory
	const most = 64 << 20
	for name, element := range map[string]string{"containers": "{}", "volumes": "{}", "tolerations": "{}", "imagePullSecrets": "{}"} {
		n := (webhook.MaxReview - 400) / len(element+",")
		body := []byte(webhooktest.Document(`{"spec":{"` + name + `":` + list(n, element) + `}}`))
		if len(body) > webhook.MaxReview {
			t.Fatalf("the body has %d bytes, more than the webhook reads", len(body))
		}
		h := webhooktest.NewHandler(t, logr.Discard())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := h.Answer(t.Context(), body); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > most {
			t.Errorf("%d %s took %d MiB, want %d at most", n, name, got>>20, most>>20)
		}
	}
}
