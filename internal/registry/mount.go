package registry

import (
	"net/http"
	"path/filepath"
	"regexp"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/registry/store"
)

// uploads matches the URL path of the requests that open an upload.
var uploads = regexp.MustCompile(`^/v2/(.+)/blobs/uploads/$`) //nolint:gochecknoglobals // a constant

// mountFromAnywhere handles mount requests that do not name a source repository. It mounts the blob if any repository has it. The
// specification calls this "automatic content discovery"; distribution does not implement it
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#mounting-a-blob-from-another-repository). All other
// requests, and requests for a missing blob, go to next. Mounting gives a client no additional access, because a client that can
// read one repository can read all repositories.
func mountFromAnywhere(next http.Handler, verifier *verifier) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		found := uploads.FindStringSubmatch(r.URL.Path)
		if r.Method != http.MethodPost || found == nil || query.Has("from") || !query.Has("mount") {
			next.ServeHTTP(w, r)
			return
		}
		repository, err := reference.WithName(found[1])
		d, digestErr := digest.Parse(query.Get("mount"))
		if err != nil || digestErr != nil || !verifier.has(r.Context(), d) || link(verifier.root, repository.Name(), d) != nil {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Location", "/v2/"+repository.Name()+"/blobs/"+d.String())
		w.Header().Set("Docker-Content-Digest", d.String())
		w.WriteHeader(http.StatusCreated)
	})
}

// link adds the blob to the repository as distribution does.
func link(root, repository string, d digest.Digest) error {
	return store.WriteLink(filepath.Join(root, "docker/registry/v2/repositories", repository, "_layers/sha256", d.Encoded(), "link"), d)
}
