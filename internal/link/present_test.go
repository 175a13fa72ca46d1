package link

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"kind-local-registry/internal/link/linkapi"
)

// nodeLayers returns an expected report about a node.
func nodeLayers(n *fakeNode, layers, present int, why linkapi.Reason) linkapi.NodeLayers {
	state := linkapi.State{Unlinkable: why}
	return linkapi.NodeLayers{Node: linkapi.Node{Name: n.name, Cluster: "kind", State: state}, Layers: layers, Present: present}
}

func TestServer_ReportsLayersOfEachNode(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	all, lowest, none, stopped := s.addNode(t, 2), s.addNode(t, 3), s.addNode(t, 4), s.addNode(t, 5)
	stopped.server.Stop()
	diffIDs, _ := s.image(t, "a", "b", "c")
	for node, layers := range map[*fakeNode]int{all: 3, lowest: 1} {
		if _, err := s.linker.Link(t.Context(), node.address, diffIDs[:layers], ignore); err != nil {
			t.Fatalf("Link to %s: %v", node.name, err)
		}
	}
	want := []linkapi.NodeLayers{
		nodeLayers(all, 3, 3, ""), nodeLayers(lowest, 3, 1, ""), nodeLayers(none, 3, 0, ""), nodeLayers(stopped, 3, 0, linkapi.NodeUnreachable),
	}
	s.wantPresent(t, diffIDs, want)
	must(t, s.linker.Break(diffIDs)) // a request would also remove the layers, but later than its response
	for i := range want[:3] {
		want[i].Unlinkable = linkapi.Broken
	}
	s.wantPresent(t, diffIDs, want)
}

// wantPresent fails the test unless the server reports those nodes, each with a detail if it has a reason.
func (s served) wantPresent(t *testing.T, diffIDs []digest.Digest, want []linkapi.NodeLayers) {
	t.Helper()
	got, err := s.client.Present(t.Context(), diffIDs)
	slices.SortFunc(got, func(a, b linkapi.NodeLayers) int { return strings.Compare(a.Name, b.Name) })
	for i := range got {
		if (got[i].Detail == "") != (got[i].Unlinkable == "") {
			t.Errorf("node %s: reason %q with detail %q, want both or neither", got[i].Name, got[i].Unlinkable, got[i].Detail)
		}
		got[i].Detail = ""
		if complete := got[i].Present == len(diffIDs); got[i].Complete() != complete {
			t.Errorf("node %s: Complete() = %t, want %t", got[i].Name, got[i].Complete(), complete)
		}
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Present: error %v, (-want +got):\n%s", err, diff)
	}
}

func TestServer_ReportsErrorOfDaemonForLayers(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	diffIDs, _ := s.image(t, "a")
	s.daemon.Refuse = func(string, string, []byte) (int, string) { return 500, "refused by the test" }
	if got, err := s.client.Present(t.Context(), diffIDs); err == nil || !strings.Contains(err.Error(), "502 Bad Gateway: listing the kind nodes") {
		t.Errorf("Present without a daemon = %+v, %v, want 502 and the reason", got, err)
	}
}

func TestPresent_CountsLayersOfNodeThatRestarted(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	node := e.addNode(t, 2)
	diffIDs, _ := e.image(t, "a", "b")
	node.refuse("Stat", codes.Unavailable)
	want := nodeLayers(node, 2, 0, linkapi.NodeUnreachable)
	for _, reason := range []linkapi.Reason{linkapi.NodeUnreachable, ""} {
		got, err := e.linker.Present(t.Context(), diffIDs)
		want.Unlinkable = reason
		if err != nil || len(got) != 1 || got[0].Unlinkable != reason || got[0].Present != want.Present {
			t.Errorf("Present = %+v, %v, want %+v", got, err, want)
		}
		node.onRequest(nil)
		if _, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil {
			t.Fatalf("Link: %v", err)
		}
		want.Present = 2
	}
}
