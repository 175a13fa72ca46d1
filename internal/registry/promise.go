package registry

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	"kind-local-registry/internal/promise"
)

const (
	// promisesDirectory is the directory of the promises, beside distribution's data.
	promisesDirectory = "promises"
	// layerTimeout is how long a node waits for a promised layer that was not linked. containerd waits 30 seconds for a
	// response, and the kubelet then retries the pull.
	layerTimeout = 25 * time.Second
	// layerInterval is the time between two checks of whether such a layer has arrived.
	layerInterval = 100 * time.Millisecond
)

// contentPath matches the path of an image manifest by digest, or of a blob.
var contentPath = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs)/(sha256:[0-9a-f]{64})$`) //nolint:gochecknoglobals // a constant

// promises serves images whose layers have not arrived yet: the image manifest, by digest only, and the config. A request for a
// layer waits until the layer arrives. Promises survive a restart, and end when the image manifest arrives.
type promises struct {
	next      http.Handler
	directory string

	mu  sync.Mutex
	all []promise.Promise
}

// newPromises returns a handler in front of next, with the promises that are stored in root. It removes promises that cannot be
// read.
func newPromises(next http.Handler, root string) (*promises, error) {
	p := &promises{next: next, directory: filepath.Join(root, promisesDirectory)}
	files, err := os.ReadDir(p.directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the promises: %w", err)
	}
	for _, file := range files {
		path := filepath.Join(p.directory, file.Name())
		content, err := os.ReadFile(path) // #nosec G304 -- a file of the directory
		var promised promise.Promise
		if err == nil {
			err = json.Unmarshal(content, &promised)
		}
		if err != nil || promised.Validate() != nil || file.Name() != fileName(promised) {
			logrus.WithField("file", path).Warn("removed a damaged promise")
			_ = os.Remove(path)
			continue
		}
		p.all = append(p.all, promised)
	}
	return p, nil
}

// fileName returns the name of the file of a promise. The same image may be promised in several repositories.
func fileName(p promise.Promise) string {
	return p.Digest().Encoded() + "-" + digest.FromString(p.Repository).Encoded() + ".json"
}

// ServeHTTP answers the API of the promises, and requests for promised content.
func (p *promises) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == promise.Path:
		p.serveAPI(w, r)
	case r.Method == http.MethodPut && manifestPath.MatchString(r.URL.Path):
		p.fulfil(w, r)
	default:
		p.serveContent(w, r)
	}
}

// serveAPI answers requests to the API of the promises.
func (p *promises) serveAPI(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.list()) // the client may be gone
	case http.MethodPost:
		var promised promise.Promise
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, promise.MaxSize)).Decode(&promised)
		if err == nil {
			err = promised.Validate()
		}
		if err != nil {
			http.Error(w, "reading the promise: "+err.Error(), http.StatusBadRequest)
			return
		}
		if err := p.add(promised); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	case http.MethodDelete:
		p.remove(r.URL.Query().Get("repository"), digest.Digest(r.URL.Query().Get("digest")))
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// list returns the promises.
func (p *promises) list() []promise.Promise {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

// add adds a promise, unless it already exists.
func (p *promises) add(promised promise.Promise) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.find(promised.Repository, promised.Digest()) >= 0 {
		return nil
	}
	if err := p.write(promised); err != nil {
		return err
	}
	p.all = append(p.all, promised)
	return nil
}

// write writes the file of a promise.
func (p *promises) write(promised promise.Promise) error {
	content, err := json.Marshal(promised)
	if err != nil {
		return fmt.Errorf("writing the promise: %w", err)
	}
	half := filepath.Join(p.directory, "."+rand.Text())
	err = os.MkdirAll(p.directory, 0o700) // #nosec G703 -- below root, which the operator names
	if err == nil {
		err = os.WriteFile(half, content, 0o600) // #nosec G703 -- the name is random
	}
	if err == nil {
		err = os.Rename(half, filepath.Join(p.directory, fileName(promised))) // #nosec G703 -- the name is two digests
	}
	if err != nil {
		_ = os.Remove(half) // #nosec G703 -- the name is random
		return fmt.Errorf("writing the promise: %w", err)
	}
	return nil
}

// remove removes a promise, if there is one.
func (p *promises) remove(repository string, d digest.Digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.find(repository, d)
	if i < 0 {
		return
	}
	err := os.Remove(filepath.Join(p.directory, fileName(p.all[i]))) // #nosec G703 -- the name is two digests
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		logrus.WithError(err).Warn("cannot remove a promise")
	}
	p.all = slices.Delete(p.all, i, i+1)
}

// find returns the index of the promise of an image manifest, or -1. p.mu must be locked.
func (p *promises) find(repository string, d digest.Digest) int {
	return slices.IndexFunc(p.all, func(one promise.Promise) bool { return one.Repository == repository && one.Digest() == d })
}

// fulfil passes on a request to store an image manifest. Once the manifest is stored, it removes the manifest's promise.
func (p *promises) fulfil(w http.ResponseWriter, r *http.Request) {
	answer := &statusWriter{ResponseWriter: w}
	p.next.ServeHTTP(answer, r)
	if answer.status == http.StatusCreated {
		p.remove(manifestPath.FindStringSubmatch(r.URL.Path)[1], digest.Digest(w.Header().Get("Docker-Content-Digest")))
	}
}

// serveContent serves a promised image manifest or config, waits for a promised layer, and passes on any other request.
func (p *promises) serveContent(w http.ResponseWriter, r *http.Request) {
	found := contentPath.FindStringSubmatch(r.URL.Path)
	if found == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		p.next.ServeHTTP(w, r)
		return
	}
	d := digest.Digest(found[3])
	of := slices.DeleteFunc(p.list(), func(one promise.Promise) bool { return one.Repository != found[1] })
	switch {
	case found[2] == "manifests":
		p.serveManifest(w, r, of, d)
	case r.Method == http.MethodHead: // with it, the pusher asks which blobs are missing
		p.next.ServeHTTP(w, r)
	default:
		p.serveBlob(w, r, of, d)
	}
}

// serveManifest serves the image manifest with that digest if one of the promises has it, and otherwise passes on the request.
func (p *promises) serveManifest(w http.ResponseWriter, r *http.Request, of []promise.Promise, d digest.Digest) {
	for _, promised := range of {
		if promised.Digest() == d {
			serveDocument(w, r, promised.Manifest, promised.MediaType())
			return
		}
	}
	p.next.ServeHTTP(w, r)
}

// serveBlob serves the config with that digest if one of the promises has it. It waits for a promised layer, and passes on the
// request for it and for any other blob.
func (p *promises) serveBlob(w http.ResponseWriter, r *http.Request, of []promise.Promise, d digest.Digest) {
	for _, promised := range of {
		if digest.FromBytes(promised.Config) == d {
			serveDocument(w, r, promised.Config, "application/octet-stream")
			return
		}
	}
	if hasLayer(of, d) {
		p.awaitLayer(r, d)
	}
	p.next.ServeHTTP(w, r)
}

// hasLayer reports whether one of the promised images has the layer.
func hasLayer(all []promise.Promise, d digest.Digest) bool {
	return slices.ContainsFunc(all, func(one promise.Promise) bool { return slices.Contains(one.Layers(), d) })
}

// awaitLayer waits until the registry has the layer or no promise includes it, but no longer than layerTimeout.
func (p *promises) awaitLayer(r *http.Request, d digest.Digest) {
	timeout := time.After(layerTimeout)
	tick := time.NewTicker(layerInterval)
	defer tick.Stop()
	head := r.Clone(r.Context())
	head.Method, head.Header = http.MethodHead, http.Header{}
	for {
		answer := &recorder{header: http.Header{}}
		p.next.ServeHTTP(answer, head)
		if answer.status != http.StatusNotFound || !hasLayer(p.list(), d) {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// serveDocument serves a small document that was requested by its digest.
func serveDocument(w http.ResponseWriter, r *http.Request, content []byte, mediaType string) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(content).String())
	if r.Method == http.MethodGet {
		_, _ = w.Write(content) // the client may be gone
	}
}
