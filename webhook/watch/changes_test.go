package watch

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
)

func TestChanges_AreTheDifferences(t *testing.T) {
	t.Parallel()
	fault := errors.New("in a test")
	pod := Pod{Namespace: "default", Name: "app", Image: image, State: WaitingForPush}
	pushed := pod
	pushed.Progress = &push.Progress{Bytes: 1, Total: 2}
	ready := pod
	ready.State = Running
	built := Image{Name: image, Event: event(pusher.EventBuilt, firstID, "")}
	rebuilt := Image{Name: image, Event: event(pusher.EventBuilt, secondID, "")}
	for name, test := range map[string]struct {
		before, after State
		want          []Change
	}{
		"nothing":           {State{}, State{}, nil},
		"a connection":      {State{}, State{Pusher: Connection{Connected: true}}, []Change{{Pusher: &Connection{Connected: true}}}},
		"a lost connection": {State{Cluster: Connection{Connected: true}}, State{Cluster: Connection{Err: fault}}, []Change{{Cluster: &Connection{Err: fault}}}},
		"the same error":    {State{Cluster: Connection{Err: fault}}, State{Cluster: Connection{Err: errors.New("in a test")}}, nil},
		"a build":           {State{}, State{Images: []Image{built}}, []Change{{Image: &built}}},
		"the same build":    {State{Images: []Image{built}}, State{Images: []Image{built}}, nil},
		"a rebuild":         {State{Images: []Image{built}}, State{Images: []Image{rebuilt}}, []Change{{Image: &rebuilt}}},
		"a pod":             {State{}, State{Pods: []Pod{pod}}, []Change{{Pod: &pod}}},
		"progress":          {State{Pods: []Pod{pod}}, State{Pods: []Pod{pushed}}, nil},
		"a ready pod":       {State{Pods: []Pod{pod}}, State{Pods: []Pod{ready}}, []Change{{Pod: &ready}}},
		"a deleted pod":     {State{Pods: []Pod{pod}}, State{}, []Change{{Gone: &pod}}},
	} {
		got := Changes(test.before, test.after)
		if diff := cmp.Diff(test.want, got, cmpopts.EquateErrors()); diff != "" {
			t.Errorf("changes after %s (-want +got):\n%s", name, diff)
		}
	}
}
