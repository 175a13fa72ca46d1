package watch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"k8s.io/client-go/kubernetes"

	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lostPusher is a pusher whose connection is lost as soon as it stands. Its lookups fail.
type lostPusher struct{ closed *int }

// Events implements Pusher.
func (p lostPusher) Events(_ context.Context, connected func(), _ func(pusher.Event)) error {
	connected()
	<-time.After(time.Second)
	return errors.New("lost")
}

// Lookup implements Pusher.
func (p lostPusher) Lookup(ctx context.Context, _ rewrite.Name) (rewrite.Presence, error) {
	<-ctx.Done()
	return rewrite.Presence{}, ctx.Err()
}

// Close implements Pusher.
func (p lostPusher) Close() { *p.closed++ }

func TestRun_ConnectsAgainUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pushers, closed, clusters int
		var last State
		ctx, cancel := context.WithTimeout(t.Context(), 9500*time.Millisecond)
		defer cancel()
		Run(ctx, Options{
			ConnectPusher: func(context.Context) (Pusher, error) {
				if pushers++; pushers == 1 {
					return nil, errors.New("no pusher")
				}
				return lostPusher{&closed}, nil
			},
			ConnectCluster: func(context.Context) (kubernetes.Interface, error) {
				clusters++
				return nil, errors.New("no cluster")
			},
		}, func(state State) { last = state })
		// The pusher is tried after 0 s, and then connected from 2 s to 3 s, 5 s to 6 s, and 8 s to 9 s; the cluster every 2 s.
		if pushers != 4 || closed != 3 || clusters != 5 {
			t.Errorf("in 9.5 s, %d connections to the pusher, %d closed, and %d to the cluster; want 4, 3 and 5", pushers, closed, clusters)
		}
		if last.Pusher.Connected || last.Pusher.Err.Error() != "lost" || last.Cluster.Err.Error() != "no cluster" {
			t.Errorf("the last state is %+v, want both errors", last)
		}
	})
}

func TestQueue_LosesNoImage(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.add(map[string]string{"a": "1", "b": "1"})
	q.add(map[string]string{"b": "2"})
	q.add(nil)
	if got := q.take(t.Context()); len(got) != 2 || got["b"] != "2" {
		t.Errorf("take = %v, want both images, each once", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got := q.take(ended); got != nil {
		t.Errorf("take after the context has ended = %v, want nil", got)
	}
}
