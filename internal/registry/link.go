package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"kind-local-registry/internal/gateway"
	"kind-local-registry/internal/link/linkapi"
)

// Linker gives a node the layers of an image.
type Linker interface {
	// Link gives the node at an IP address the layers with those diffIDs, lowest first. It must return in time for the pull
	// that waits for it. If it fails, the node pulls the missing layers.
	Link(ctx context.Context, address string, diffIDs []digest.Digest) (linkapi.Result, error)
}

// maxDocument is the size in bytes of the largest image manifest or config that is read to link layers.
const maxDocument = 4 << 20

// manifestPath matches the path of an image manifest or index.
var manifestPath = regexp.MustCompile(`^/v2/(.+)/manifests/[^/]+$`) //nolint:gochecknoglobals // a constant

// linkFirst first has an image's layers linked to the node that requests the image manifest, and then serves the manifest. A
// node's containerd requests it at the beginning of every pull, and then fetches only the layers that the node does not have.
type linkFirst struct {
	next     http.Handler
	linker   Linker
	gateways func() []netip.Addr
}

// newLinkFirst returns a handler that has layers linked before next serves their image manifest. It returns next if linker is
// nil.
func newLinkFirst(next http.Handler, linker Linker) http.Handler {
	if linker == nil {
		return next
	}
	return &linkFirst{next: next, linker: linker, gateways: gateway.Addresses}
}

// ServeHTTP serves the request. An error of the linker does not change the response.
func (l *linkFirst) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found := manifestPath.FindStringSubmatch(r.URL.Path)
	address, ok := l.nodeAddress(r)
	if r.Method != http.MethodGet || found == nil || !ok {
		l.next.ServeHTTP(w, r)
		return
	}
	manifest := &recorder{header: http.Header{}, client: w}
	l.next.ServeHTTP(manifest, r)
	if manifest.large {
		return
	}
	if diffIDs := layersOf(r, l.next, found[1], manifest); len(diffIDs) > 0 {
		if _, err := l.linker.Link(r.Context(), address, diffIDs); err != nil {
			logrus.WithField("path", r.URL.Path).WithError(err).Debug("the node pulls layers")
		}
	}
	manifest.replay()
}

// nodeAddress returns the IP address of a client that may be a node, and false for a client on this host.
func (l *linkFirst) nodeAddress(r *http.Request) (string, bool) {
	if fromSocket(r) {
		return "", false
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "", false
	}
	address := remote.Addr().Unmap().WithZone("")
	return address.String(), !address.IsLoopback() && !slices.Contains(l.gateways(), address)
}

// layersOf returns the diffIDs of the layers of the image whose manifest was served, or nil for anything else, such as an index.
func layersOf(r *http.Request, next http.Handler, repository string, served *recorder) []digest.Digest {
	var manifest v1.Manifest
	if served.status != http.StatusOK || json.Unmarshal(served.body.Bytes(), &manifest) != nil || manifest.Config.Digest.Validate() != nil ||
		manifest.Config.Size > maxDocument {
		return nil
	}
	request := r.Clone(r.Context())
	request.URL.Path, request.URL.RawPath = "/v2/"+repository+"/blobs/"+manifest.Config.Digest.String(), ""
	request.Header = http.Header{}
	config := &recorder{header: http.Header{}}
	next.ServeHTTP(config, request)
	var image v1.Image
	if config.status != http.StatusOK || config.large || json.Unmarshal(config.body.Bytes(), &image) != nil {
		return nil
	}
	return image.RootFS.DiffIDs
}

// recorder records the response to a request for a small document. If the response is larger than maxDocument, it passes the
// response on to its client, or fails if it has no client.
type recorder struct {
	client http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
	large  bool // the response is larger than maxDocument
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if !r.large && r.body.Len()+len(p) <= maxDocument {
		return r.body.Write(p)
	}
	first := !r.large
	r.large = true
	if r.client == nil {
		return 0, http.ErrContentLength
	}
	if first {
		r.replay()
	}
	return r.client.Write(p)
}

// replay writes the response to the client.
func (r *recorder) replay() {
	maps.Copy(r.client.Header(), r.header)
	if r.status != 0 {
		r.client.WriteHeader(r.status)
	}
	_, _ = r.client.Write(r.body.Bytes()) // the client may be gone
}
