package registry

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"sync"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/registry/store"
)

var (
	// referencePath matches the path of an image manifest or index. Its groups are the repository and the tag or digest.
	referencePath = regexp.MustCompile(`^/v2/(.+)/manifests/([^/]+)$`) //nolint:gochecknoglobals // a constant
	// blobPath matches the path of a blob. Its groups are the repository and the digest.
	blobPath = regexp.MustCompile(`^/v2/(.+)/blobs/(sha256:[0-9a-f]{64})$`) //nolint:gochecknoglobals // a constant
	// uploadsPath matches the paths of uploads.
	uploadsPath = regexp.MustCompile(`^/v2/.+/blobs/uploads/`) //nolint:gochecknoglobals // a constant
)

// maxPulls is how many pulls are remembered.
const maxPulls = 4096

// tracker tells the store what each request uses, so that nothing is removed that a client is pulling or pushing.
//
// The pusher knows its own pushes, and has nothing removed that they found in the registry. The registry knows nothing about
// pushes of other clients, such as docker push. If such a client has asked for a blob, mounted or uploaded it, the blob is kept
// for an hour, or until an image manifest arrives that needs it.
type tracker struct {
	next  http.Handler
	store *store.Store
	// pushes reports whether a request comes from a client that may push, other than the pusher.
	pushes func(*http.Request) bool

	mu    sync.Mutex
	pulls map[pull]digest.Digest // the image manifest that each client got last
}

// pull identifies a client's pulls from one repository.
type pull struct{ client, repository string }

// ServeHTTP passes the request to next. Until next returns, the store keeps what the request uses.
func (t *tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if found := referencePath.FindStringSubmatch(r.URL.Path); found != nil {
		if r.Method == http.MethodPut {
			t.putManifest(w, r, found[1], found[2])
			return
		}
		end := t.store.Use(t.image(r, found[1], found[2])...)
		defer end(store.Unneeded)
		t.showArchive(w, found[1], found[2])
		t.next.ServeHTTP(w, r)
		return
	}
	end := t.store.Use(t.blobs(r)...)
	defer end(t.reliance(r))
	t.next.ServeHTTP(w, r)
}

// image returns the keys of an image manifest that was requested by its tag or digest.
func (t *tracker) image(r *http.Request, repository, reference string) []store.Key {
	d, err := digest.Parse(reference)
	if err != nil {
		found, ok := t.store.Tag(repository, reference)
		if !ok {
			return nil
		}
		d = found
	}
	if r.Method == http.MethodGet {
		t.remember(pull{client(r), repository}, d)
	}
	return []store.Key{{Repository: repository, Digest: d}, {Digest: d}}
}

// remember records which image a client is about to pull.
func (t *tracker) remember(p pull, d digest.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.pulls) >= maxPulls {
		clear(t.pulls)
	}
	t.pulls[p] = d
}

// blobs returns the keys of the blob that a request reads, mounts or uploads, and of the image that the client is pulling.
func (t *tracker) blobs(r *http.Request) []store.Key {
	found := blobPath.FindStringSubmatch(r.URL.Path)
	if found == nil {
		if !uploadsPath.MatchString(r.URL.Path) {
			return nil
		}
		query := r.URL.Query()
		return []store.Key{{Digest: digest.Digest(query.Get("digest"))}, {Digest: digest.Digest(query.Get("mount"))}}
	}
	keys := []store.Key{{Digest: digest.Digest(found[2])}}
	if r.Method != http.MethodGet {
		return keys
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if pulled, ok := t.pulls[pull{client(r), found[1]}]; ok {
		keys = append(keys, store.Key{Repository: found[1], Digest: pulled}, store.Key{Digest: pulled})
	}
	return keys
}

// reliance returns how the client relies on the blob of its request.
func (t *tracker) reliance(r *http.Request) store.Reliance {
	if r.Method != http.MethodGet && t.pushes(r) {
		return store.Relied
	}
	return store.Unneeded
}

// putManifest passes on a request to store an image manifest. It keeps everything that the manifest refers to.
func (t *tracker) putManifest(w http.ResponseWriter, r *http.Request, repository, tag string) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDocument))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "the image manifest is too large")
		return
	}
	if err != nil {
		http.Error(w, "reading the image manifest: "+err.Error(), http.StatusBadRequest)
		return
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	reliance := store.Unneeded
	end := t.store.Use(store.Keys(repository, content)...)
	defer func() { end(reliance) }()
	answer := &statusWriter{ResponseWriter: t.recordArchive(w, r, repository, tag, content)}
	t.store.Write(func() { t.next.ServeHTTP(answer, r) })
	if answer.status == http.StatusCreated && t.pushes(r) {
		reliance = store.Fulfilled
	}
}

// client returns the address of the client, without its port.
func client(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// fromSocket reports whether the request came through the registry's Unix socket.
func fromSocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}
