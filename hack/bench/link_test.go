package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

// registryWithPromise returns the data directory of a registry with one promise, and the promise's file.
func registryWithPromise(t *testing.T) (data, file string) {
	t.Helper()
	data = t.TempDir()
	file = filepath.Join(data, "promises", "one.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return data, file
}

func TestAwaitPushes_ReturnsWhenPromisesAreGone(t *testing.T) {
	t.Parallel()
	data, file := registryWithPromise(t)
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1)
		go func() { done <- (&host{registryData: data}).awaitPushes(t.Context()) }()
		time.Sleep(time.Minute)
		select {
		case err := <-done:
			t.Fatalf("awaitPushes = %v while there was a promise", err)
		default:
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("awaitPushes = %v after the last promise ended", err)
		}
	})
}

func TestAwaitPushes_FailsWhilePromisesAreLeft(t *testing.T) {
	t.Parallel()
	data, _ := registryWithPromise(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&host{registryData: data}).awaitPushes(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 promised") {
		t.Errorf("awaitPushes = %v, want an error about 1 promised image", err)
	}
	if err := (&host{registryData: t.TempDir()}).awaitPushes(ctx); err != nil {
		t.Errorf("awaitPushes = %v, want nil for a registry that never had a promise", err)
	}
}

func TestLinkable_NamesNodesThatCannotBeLinked(t *testing.T) {
	t.Parallel()
	good, other := linkapi.Node{Name: worker}, linkapi.Node{Name: "another-cluster", State: linkapi.State{Unlinkable: linkapi.OtherSnapshotter}}
	bad := linkapi.Node{Name: controlPlane, State: linkapi.State{Unlinkable: linkapi.OtherFileSystem, Detail: "EXDEV"}}
	for name, test := range map[string]struct {
		nodes []linkapi.Node
		want  string
	}{
		"all":             {[]linkapi.Node{good, other, {Name: controlPlane}}, ""},
		"one is unknown":  {[]linkapi.Node{good, other}, "the linker knows only 1 of 2 nodes"},
		"one cannot":      {[]linkapi.Node{good, bad}, "layers cannot be linked to bench-control-plane: " + string(linkapi.OtherFileSystem) + ": EXDEV"},
		"none is running": {nil, "the linker knows only 0 of 2 nodes"},
	} {
		got := ""
		if err := linkable(test.nodes); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: linkable = %q, want %q", name, got, test.want)
		}
	}
}

// fakePusher is a pusher that answers the lookup of a name with its entry in present, and records the images that it is asked to
// promise.
type fakePusher struct {
	present  map[string]rewrite.Presence
	nodes    []linkapi.Node // nil to answer with an error, as with linking off
	promised []string
}

const someDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// ServeHTTP answers lookups, promises, and requests for the nodes.
func (f *fakePusher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/nodes" {
		if f.nodes == nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(f.nodes)
		return
	}
	if r.Method == http.MethodGet {
		_ = json.NewEncoder(w).Encode(f.present[r.URL.Query().Get("name")])
		return
	}
	var request struct{ Name string }
	_ = json.NewDecoder(r.Body).Decode(&request)
	f.promised = append(f.promised, request.Name)
	_ = json.NewEncoder(w).Encode(map[string]string{"digest": someDigest})
}

// serve starts the pusher with new credentials, and returns a benchmark that is connected to it with these credentials.
func (f *fakePusher) serve(t *testing.T) *bench {
	t.Helper()
	credentials, err := pusher.NewCredentials(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	for name, content := range credentials.Files() {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewUnstartedServer(f)
	if server.TLS, err = pusher.LoadServerTLS(directory); err != nil {
		t.Fatal(err)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	client, err := dial(server.Listener.Addr().String(), directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &bench{host: host{pusher: client}}
}

func TestPromise_PromisesOnlyWhatRegistryLacks(t *testing.T) {
	t.Parallel()
	const other = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	fake := &fakePusher{present: map[string]rewrite.Presence{
		"docker.io/bench/new:linked":    {OnHost: true, ImageID: other},
		"docker.io/bench/pushed:linked": {OnHost: true, ImageID: other, Digest: other, Served: other},
	}}
	b := fake.serve(t)
	got, err := b.promise(t.Context(), []string{"bench/new:linked", "bench/pushed:linked"})
	want := []string{"localhost:5001/bench/new:linked@" + someDigest, "localhost:5001/bench/pushed:linked@" + other}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("promise = %v\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"bench/new:linked"}, fake.promised); diff != "" {
		t.Errorf("promised images (-want +got):\n%s", diff)
	}
	if got, err := b.promise(t.Context(), []string{"bench/none:linked"}); err == nil || !strings.Contains(err.Error(), "bench/none:linked: "+string(rewrite.NotOnHost)) {
		t.Errorf("promise of an image that the host does not have = %q, %v, want an error with the reason", got, err)
	}
}

// TestAwaitLinker_FailsUnlessEveryNodeIsLinkable makes sure that a run fails if linking is off or impossible.
func TestAwaitLinker_FailsUnlessEveryNodeIsLinkable(t *testing.T) {
	t.Parallel()
	good := []linkapi.Node{{Name: worker}, {Name: controlPlane}}
	if err := (&fakePusher{nodes: good}).serve(t).awaitLinker(t.Context()); err != nil {
		t.Errorf("awaitLinker with linkable nodes: %v", err)
	}
	for what, nodes := range map[string][]linkapi.Node{
		"linking off":       nil,
		"one node":          good[:1],
		"an unlinkable one": {{Name: worker}, {Name: controlPlane, State: linkapi.State{Unlinkable: linkapi.OtherFileSystem}}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := (&fakePusher{nodes: nodes}).serve(t).awaitLinker(ctx); err == nil || !strings.Contains(err.Error(), "waiting for the linker: ") {
			t.Errorf("awaitLinker with %s = %v, want an error", what, err)
		}
		cancel()
	}
}

func TestDial_FailsWithoutCredentials(t *testing.T) {
	t.Parallel()
	if client, err := dial("127.0.0.1:1", t.TempDir()); err == nil || !strings.Contains(err.Error(), pusher.ClientKeyFile) {
		t.Errorf("dial = %v, %v, want an error that names the missing files", client, err)
	}
}
