package link

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

func TestServer_LogsNodesThatArePrelinked(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	earlier, failing, without := s.addNode(t, 2), s.addNode(t, 3), s.addNode(t, 4)
	diffIDs, chains := s.image(t, "a", "b")
	for _, node := range []*fakeNode{earlier, failing} {
		if _, err := s.linker.Link(t.Context(), node.address, diffIDs[:1], ignore); err != nil {
			t.Fatalf("Link of an earlier build: %v", err)
		}
	}
	failing.refuse("Prepare", codes.Internal)
	if err := s.client.Prelink(t.Context(), diffIDs); err != nil {
		t.Errorf("Prelink: %v", err)
	}
	s.server.background.Wait()
	wantSnapshots(t, earlier, chains...)
	wantSnapshots(t, failing, chains[0])
	wantSnapshots(t, without)
	s.wantMetrics(t, `link_requests_total{outcome="Linked"} 1`, `link_requests_total{outcome="Failed"} 1`, `linked_layers_total 1`)
	log := s.stop()
	for _, want := range []string{
		`"msg":"layers linked","node":"kind-worker2","layers":2,"linked":1`,
		`"msg":"layers not linked, the node pulls them","node":"kind-worker3","layers":2,"linked":0`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("log = %s, want %s", log, want)
		}
	}
	if strings.Count(log, "\n") != 2 {
		t.Errorf("log = %s, want a line for each of the two nodes", log)
	}
}

func TestServer_EndsPrelinksWhenItStops(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	node := s.addNode(t, 2)
	diffIDs, chains := s.image(t, "a", "b")
	if _, err := s.linker.Link(t.Context(), node.address, diffIDs[:1], ignore); err != nil {
		t.Fatalf("Link of an earlier build: %v", err)
	}
	linking := make(chan struct{})
	node.onRequest(func(ctx context.Context, method string) error {
		if method == "Prepare" {
			close(linking)
			<-ctx.Done()
		}
		return ctx.Err()
	})
	if err := s.client.Prelink(t.Context(), diffIDs); err != nil {
		t.Errorf("Prelink: %v", err)
	}
	<-linking
	s.stop() // cancels the link, which would otherwise never end
	s.linker.layers.Close()
	wantSnapshots(t, node, chains[0])
}
