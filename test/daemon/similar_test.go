//go:build daemon

package daemon

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/test/testimage"
)

// TestLookup_SuggestsANewTag checks that the daemon's events make the list of tags out of date. Without them, the list would be used for
// a minute.
func TestLookup_SuggestsANewTag(t *testing.T) {
	t.Parallel()
	eachDaemon(t, func(t *testing.T, d *daemon) {
		image := testimage.Image(t, testimage.Layer(t, []testimage.File{testimage.Regular("file", "similar")}))
		d.Load(t, bytes.NewReader(saveArchive(t, image, "similar/first:local")))
		s := newService(t, d, t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() { s.Follow(ctx, slog.New(slog.DiscardHandler)) })
		defer following.Wait()
		defer cancel()
		suggests := func(wrong, right string) func() error {
			return func() error {
				found, err := s.Lookup(t.Context(), rewritetest.Name(t, wrong))
				if err != nil || !found.Typo || len(found.Similar) != 1 || found.Similar[0] != right {
					return fmt.Errorf("Lookup(%q) = %+v, %w, want the suggestion %s", wrong, found, err, right)
				}
				return nil
			}
		}
		await(t, suggests("similar/frist:local", "similar/first:local"))
		for _, name := range []string{"second", "third"} {
			await(t, suggests("similar/frist:local", "similar/first:local"))
			d.tag(t, "similar/first:local", "similar/"+name+":local")
			await(t, suggests("similar/"+name+"s:local", "similar/"+name+":local"))
		}
	})
}
