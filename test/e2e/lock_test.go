//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestUp_WaitsForAnotherSetup(t *testing.T) {
	upAfterwards(t)
	docker(t, "rm", "-f", "kind-registry-pusher", "kind-registry")
	type result struct {
		out string
		err error
	}
	results := make(chan result)
	for range 2 {
		go func() {
			out, err := suite.run(t.Context(), "up", "--cluster", clusterName)
			results <- result{out, err}
		}()
	}
	var waited, unchanged int
	for range 2 {
		r := <-results
		if r.err != nil {
			t.Errorf("setup up: %v\n%s", r.err, r.out)
		}
		waited += strings.Count(r.out, "Waiting for process ")
		unchanged += strings.Count(r.out, "Nothing to change")
	}
	if waited != 1 || unchanged != 1 {
		t.Errorf("%d runs waited and %d runs found nothing to change, want 1 and 1", waited, unchanged)
	}
	eventually(t, 30*time.Second, "setup status finds everything healthy", func(ctx context.Context) string {
		if out, err := suite.run(ctx, "status", "--cluster", clusterName); err != nil {
			return out
		}
		return ""
	})
}
