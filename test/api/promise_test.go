//go:build api

package api

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook"
)

func TestPromise_BrokenOneIsReportedByAnEvent(t *testing.T) {
	t.Parallel()
	shared.host.add("promise/broken:local", image{inRegistry: true})
	p := create(t, pod(newNamespace(t), "promise/broken:local"))
	wantImages(t, p, pinned("promise/broken:local"))
	shared.host.breakPromise(webhook.BrokenPromise{
		Image: "promise/broken:local", Digest: digestOf("promise/broken:local"),
		Reason: "PromiseWithdrawn", Detail: "the image cannot be pushed", At: time.Now(),
	})
	wantEvent(t, p, corev1.EventTypeWarning, "PromiseWithdrawn", `"promise/broken:local": the image cannot be pushed`)
}
