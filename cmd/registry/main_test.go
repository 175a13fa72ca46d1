package main

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kind-local-registry/internal/push"
)

func TestRun_AlsoServesOnSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "registry.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--listen", "127.0.0.1:0", "--socket", socket, "--root", t.TempDir()}, t.Output())
	}()
	client, err := push.NewRegistry("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Presence(t.Context(), push.Target{Repository: "a", Reference: "1"}); err != nil {
		t.Errorf("looking up an image through the socket: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

func TestParsePrefixes_ParsesAddressesAndPrefixes(t *testing.T) {
	t.Parallel()
	got, err := parsePrefixes("172.18.0.0/16, 10.0.0.1,fc00::/64")
	want := []netip.Prefix{
		netip.MustParsePrefix("172.18.0.0/16"), netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("fc00::/64"),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); err != nil || diff != "" {
		t.Errorf("parsePrefixes: error %v, (-want +got):\n%s", err, diff)
	}
	if got, err := parsePrefixes("172.18.0.0/16,kind"); err == nil {
		t.Errorf("parsePrefixes of a name = %v, want an error", got)
	}
}
