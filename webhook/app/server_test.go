package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"kind-local-registry/webhook/endpoint"
)

func TestDrained_WaitsOnlyForCallsThatMayCome(t *testing.T) {
	t.Parallel()
	const drain = 5 * time.Second
	for name, test := range map[string]struct {
		called func(context.Context) bool
		want   time.Duration
	}{
		"the configuration exists":           {func(context.Context) bool { return true }, drain},
		"the webhook is being uninstalled":   {func(context.Context) bool { return false }, 0},
		"the API server does not answer":     {func(ctx context.Context) bool { <-ctx.Done(); return true }, drain},
		"the API server has answered slowly": {func(context.Context) bool { time.Sleep(time.Second); return false }, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				serving, end := drained(ctx, &endpoint.Handler{}, drain, test.called)
				defer end()
				synctest.Wait()
				if serving.Err() != nil {
					t.Fatal("the process ends before its context does")
				}
				begin := time.Now()
				stop()
				<-serving.Done()
				if got := time.Since(begin); got != test.want {
					t.Errorf("the process ended %s after its context, want %s", got, test.want)
				}
			})
		})
	}
}
