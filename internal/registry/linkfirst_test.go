package registry

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/link/linkapi"
)

// linkerFunc is a Linker.
type linkerFunc func(address string, diffIDs []digest.Digest)

// Link implements Linker.
func (f linkerFunc) Link(_ context.Context, address string, diffIDs []digest.Digest) (linkapi.Result, error) {
	f(address, diffIDs)
	return linkapi.Result{}, nil
}

// documents is a handler that serves an image manifest and its config, each in two writes.
type documents struct{ manifest, config []byte }

// newDocuments returns an image with one layer, whose documents end with that many spaces.
func newDocuments(t *testing.T, manifestSpaces, configSpaces int) documents {
	t.Helper()
	document := func(of any, spaces int) []byte {
		content, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		return append(content, strings.Repeat(" ", spaces)...)
	}
	d := documents{config: document(v1.Image{RootFS: v1.RootFS{DiffIDs: []digest.Digest{digest.FromString("layer")}}}, configSpaces)}
	d.manifest = document(v1.Manifest{Config: v1.Descriptor{Digest: digest.FromBytes(d.config)}}, manifestSpaces)
	return d
}

// ServeHTTP implements http.Handler.
func (d documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content := d.manifest
	if strings.Contains(r.URL.Path, "/blobs/") {
		content = d.config
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Header().Set("Etag", "tag")
	w.WriteHeader(http.StatusOK)
	for _, part := range [][]byte{content[:len(content)/2], content[len(content)/2:]} {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}

func TestLinkFirst_ServesLargeDocumentsWithoutLinking(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		manifest, config int
		want             int
	}{
		"small documents":          {0, 0, 1},
		"a manifest of 4 MiB more": {4 << 20, 0, 0},
		"a manifest of 9 MiB more": {9 << 20, 0, 0}, // neither part is small enough
		"a config of 4 MiB more":   {0, 4 << 20, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			image := newDocuments(t, test.manifest, test.config)
			handler := newLinkFirst(image, linkerFunc(func(string, []digest.Digest) { calls++ }))
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/a/manifests/1", nil)
			request.RemoteAddr = "192.0.2.9:1"
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if calls != test.want {
				t.Errorf("the linker was called %d times, want %d", calls, test.want)
			}
			if got := digest.FromBytes(answer.Body.Bytes()); got != digest.FromBytes(image.manifest) {
				t.Errorf("served %d bytes with digest %s, want the %d bytes of the manifest", answer.Body.Len(), got, len(image.manifest))
			}
			want := http.Header{"Content-Length": {strconv.Itoa(len(image.manifest))}, "Etag": {"tag"}}
			if diff := cmp.Diff(want, answer.Header()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinkFirst_IgnoresClientsOnThisHost(t *testing.T) {
	t.Parallel()
	unix := context.WithValue(t.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/x", Net: "unix"})
	for name, test := range map[string]struct {
		ctx  context.Context
		from string
		want string // the address to link to
	}{
		"a node":                    {t.Context(), "172.18.0.2:1", "172.18.0.2"},
		"the IPv4 gateway":          {t.Context(), "172.18.0.1:1", ""},
		"the IPv4 gateway, mapped":  {t.Context(), "[::ffff:172.18.0.1]:1", ""},
		"the IPv6 gateway":          {t.Context(), "[fc00::1]:1", ""},
		"the IPv6 gateway's zone":   {t.Context(), "[fc00::1%eth0]:1", ""},
		"loopback":                  {t.Context(), "127.0.0.1:1", ""},
		"a Unix socket":             {unix, "@", ""},
		"a Unix socket's own name":  {unix, "172.18.0.2:1", ""},
		"an address without a port": {t.Context(), "172.18.0.2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			l := &linkFirst{
				next: newDocuments(t, 0, 0), linker: linkerFunc(func(address string, _ []digest.Digest) { got = address }),
				gateways: func() []netip.Addr {
					return []netip.Addr{netip.MustParseAddr("172.18.0.1"), netip.MustParseAddr("fc00::1")}
				},
			}
			request := httptest.NewRequestWithContext(test.ctx, http.MethodGet, "/v2/a/manifests/1", nil)
			request.RemoteAddr = test.from
			l.ServeHTTP(httptest.NewRecorder(), request)
			if got != test.want {
				t.Errorf("linked to %q, want %q", got, test.want)
			}
		})
	}
}
