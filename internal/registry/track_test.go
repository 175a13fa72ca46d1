package registry_test

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
	pushing "kind-local-registry/internal/push"
)

func TestRemove_KeepsWhatWasUsedSince(t *testing.T) {
	t.Parallel()
	for _, use := range []string{"GET tag", "HEAD tag", "GET digest", "HEAD digest", "push", "lookup"} {
		t.Run(use, func(t *testing.T) {
			t.Parallel()
			o := startOurs(t, t.TempDir())
			image := randomImage(t)
			unused, used := o.write(t, "unused:1", randomImage(t)), o.write(t, "a:1", image)
			since := time.Now()
			path := map[string]string{"tag": "/v2/a/manifests/1", "digest": "/v2/a/manifests/" + used.Digest.String()}
			switch use {
			case "push":
				manifest, err := image.RawManifest()
				if err != nil {
					t.Fatal(err)
				}
				putManifest(t, o.host, "a", "2", manifest)
			case "lookup":
				if _, err := o.Presence(t.Context(), pushing.Target{Repository: "a", Reference: "1"}); err != nil {
					t.Fatal(err)
				}
			default:
				method, by, _ := bytes.Cut([]byte(use), []byte(" "))
				wantStatus(t, "http://"+o.host, "before the removal", http.StatusOK, string(method)+" "+path[string(by)])
			}

			removed := o.remove(t, since, unused, used)

			if !slices.Equal(removed.Images, []inventory.Reference{unused}) || !slices.Equal(removed.Kept, []inventory.Reference{used}) {
				t.Errorf("Remove after %s = %+v, want %s removed and %s kept", use, removed, unused.Repository, used.Repository)
			}
			wantImage(t, o.host+"/a:1", image, "after it was used")
			if removed = o.remove(t, time.Now(), used); len(removed.Images) != 1 {
				t.Errorf("Remove later = %+v, want it removed", removed)
			}
		})
	}
}

// putManifest stores an image manifest over TCP.
func putManifest(t *testing.T, host, repository, reference string, manifest []byte) {
	t.Helper()
	url := "http://" + host + "/v2/" + repository + "/manifests/" + reference
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
	if answer := exchange(t, request); answer.Status != http.StatusCreated {
		t.Errorf("PUT %s: status %d (%s), want %d", url, answer.Status, answer.Body, http.StatusCreated)
	}
}

// TestRemove_KeepsBlobsThatDockerPushFound removes an image while another client pushes an image that shares a layer with it.
func TestRemove_KeepsBlobsThatDockerPushFound(t *testing.T) {
	t.Parallel()
	for name, found := range map[string]struct {
		method, path string
		status       int
	}{
		"the blob exists":     {method: http.MethodHead, path: "/v2/a/blobs/DIGEST", status: http.StatusOK},
		"the blob is mounted": {method: http.MethodPost, path: "/v2/a/blobs/uploads/?mount=DIGEST&from=a", status: http.StatusCreated},
		"mounted from any":    {method: http.MethodPost, path: "/v2/a/blobs/uploads/?mount=DIGEST", status: http.StatusCreated},
	} {
		for _, restart := range []bool{false, true} {
			when := map[bool]string{false: "", true: ", then the registry restarts"}[restart]
			t.Run(name+when, func(t *testing.T) {
				t.Parallel()
				o := startOurs(t, t.TempDir())
				base := randomImage(t)
				old := o.write(t, "a:1", base)
				layer := digestOf(t, mustLayers(t, base)[0])
				url := "http://" + o.host + string(bytes.ReplaceAll([]byte(found.path), []byte("DIGEST"), []byte(layer)))
				if status, _ := request(t, found.method, url, nil); status != found.status {
					t.Fatalf("%s %s: status %d, want %d", found.method, url, status, found.status)
				}
				if restart {
					age(t, o.root)
					o = startOurs(t, o.root)
				}
				if relied := o.list(t).Relied; !slices.Equal(relied, []digest.Digest{digest.Digest(layer)}) {
					t.Errorf("blobs that clients rely on = %v, want the layer", relied)
				}

				if removed := o.remove(t, time.Now(), old); len(removed.Images) != 1 || removed.Blobs != 3 {
					t.Fatalf("Remove = %+v, want the image removed, with its manifest, config and other layer", removed)
				}

				pushed := mutateTo(t, mustLayers(t, base)[0])
				pushConfigAndManifest(t, o, pushed)
				wantImage(t, o.host+"/a:2", pushed, "after the removal")
			})
		}
	}
}

// age makes the data directory look as if nothing had been used for an hour. It leaves out what clients rely on in the future.
func age(t *testing.T, root string) {
	t.Helper()
	past, soon := time.Now().Add(-time.Hour), time.Now().Add(30*time.Minute)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.ModTime().After(soon) {
			return err
		}
		return os.Chtimes(path, past, past)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mutateTo returns an image with one layer.
func mutateTo(t *testing.T, layer v1.Layer) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// pushConfigAndManifest pushes an image to a:2 without its layers.
func pushConfigAndManifest(t *testing.T, o ours, image v1.Image) {
	t.Helper()
	config, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	_, location := request(t, http.MethodPost, "http://"+o.host+"/v2/a/blobs/uploads/", nil)
	status, _ := request(t, http.MethodPut, location+"&digest="+digest.FromBytes(config).String(), bytes.NewReader(config))
	if status != http.StatusCreated {
		t.Fatalf("uploading the config: status %d, want %d", status, http.StatusCreated)
	}
	if removed := o.remove(t, time.Now()); removed.Blobs != 0 {
		t.Errorf("Remove during the push = %+v, want nothing removed", removed)
	}
	putManifest(t, o.host, "a", "2", manifest)
}

func TestRemove_SweepsBlobsOfThePusherByTime(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	image := randomImage(t)
	old := o.write(t, "a:1", image)
	before := time.Now()
	url := "http://localhost/v2/a/blobs/" + digestOf(t, mustLayers(t, image)[0])
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := o.transport(t)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if removed := o.remove(t, before, old); removed.Blobs != 3 {
		t.Errorf("Remove = %+v, want 3 of 4 blobs removed", removed)
	}
	if removed := o.remove(t, time.Now()); removed.Blobs != 1 {
		t.Errorf("Remove later = %+v, want the remaining blob removed", removed)
	}
}

func TestRemove_KeepsTheImageOfAPullUnderWay(t *testing.T) {
	t.Parallel()
	o := startOurs(t, t.TempDir())
	image, err := random.Image(32<<20, 1) // more than the buffers of a connection
	if err != nil {
		t.Fatal(err)
	}
	pulled := o.write(t, "a:1", image)
	wantStatus(t, "http://"+o.host, "at the beginning of the pull", http.StatusOK, "GET /v2/a/manifests/1")
	path := "/v2/a/blobs/" + digestOf(t, mustLayers(t, image)[0])
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+o.host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}

	if removed := o.remove(t, time.Now(), pulled); len(removed.Kept) != 1 || removed.Blobs != 0 {
		t.Errorf("Remove during the pull = %+v, want the image kept", removed)
	}

	content, err := io.ReadAll(response.Body)
	if err != nil || digest.FromBytes(content).String() != digestOf(t, mustLayers(t, image)[0]) {
		t.Errorf("the layer arrived with %d bytes, error %v", len(content), err)
	}
	_ = response.Body.Close()
	awaitRemoved(t, o, pulled)
}

// awaitRemoved removes an image. The registry may take a moment to see that the last request has ended.
func awaitRemoved(t *testing.T, o ours, image inventory.Reference) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		removed := o.remove(t, time.Now(), image)
		if len(removed.Images) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Remove = %+v, want the image removed", removed)
		}
	}
}
