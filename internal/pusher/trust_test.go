package pusher_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
)

// put uploads a blob and an image manifest with the tag 1 to the repository, as another client of the registry might.
func (e env) put(t *testing.T, repository, blob, manifest string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	target, err := name.NewRepository(strings.TrimPrefix(e.registry, "http://") + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	layer := static.NewLayer([]byte(blob), types.OCIUncompressedLayer)
	if err := remote.WriteLayer(target, layer, remote.WithContext(t.Context()), remote.WithTransport(transport)); err != nil {
		t.Fatalf("putting a blob: %v", err)
	}
	content := strings.NewReader(manifest)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, e.registry+"/v2/"+repository+"/manifests/1", content)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", string(types.OCIManifestSchema1))
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("putting a manifest: %v", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("putting a manifest: %s", response.Status)
	}
}

func TestPush_ReplacesImagesOfOtherClients(t *testing.T) {
	t.Parallel()
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	const another = "another"
	manifest := func(layer digest.Digest, size int, more string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
			`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
			`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]%s}`,
			image.ID(), image.Config.Size, layer, size, more)
	}
	for what, content := range map[string]string{
		"the same config, another layer": manifest(digest.FromString(another), len(another), ""),
		"the same blobs, other fields":   manifest(image.Layers[0].Digest, int(image.Layers[0].Size), `,"annotations":{"a":"b"}`),
		"an invalid manifest":            manifest(digest.FromString(another), len(another), `,"subject":"x"`),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.engine.Tag("docker.io/a/b:1", image)
			first, err := e.service.Push(t.Context(), "a/b:1", nil)
			if err != nil {
				t.Fatalf("Push: %v", err)
			}
			e.put(t, "a/b", another, content)
			presence, err := e.service.Lookup(t.Context(), rewritetest.Name(t, "a/b:1"))
			if err != nil || presence.Digest != "" || !presence.OnHost {
				t.Errorf("Lookup = %+v (error %v), want the image on the host only", presence, err)
			}
			if _, err := e.service.Push(t.Context(), "a/b:1", nil); err != nil {
				t.Fatalf("Push: %v", err)
			}
			d := first.Digest.String()
			want := rewrite.Presence{OnHost: true, ImageID: image.ID().String(), Digest: d, Served: d}
			presence, err = e.service.Lookup(t.Context(), rewritetest.Name(t, "a/b:1"))
			if diff := cmp.Diff(want, presence); err != nil || diff != "" {
				t.Errorf("Lookup after a push: error %v, (-want +got):\n%s", err, diff)
			}
		})
	}
}
