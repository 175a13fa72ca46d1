package push_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/push"
)

// serving returns a client for a registry that serves the manifests, whose keys are their references. In this registry every blob
// has 2 bytes.
func serving(t *testing.T, manifests map[string]string) *push.Registry {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, reference, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/a/b/"), "/")
		content, found := manifests[reference]
		switch {
		case kind == "blobs":
			w.Header().Set("Content-Length", "2")
		case kind == "manifests" && found:
			_, _ = io.WriteString(w, content)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	registry, err := push.NewRegistry(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	return registry
}

// blob returns the descriptor of a blob in serving's registry.
func blob(content string) string {
	return fmt.Sprintf(`{"mediaType":"application/x","digest":%q,"size":2}`, digest.FromString(content))
}

func TestPresence_IgnoresInvalidManifests(t *testing.T) {
	t.Parallel()
	const begin = `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageManifest + `",`
	layers := func(layers string) string {
		return begin + `"config":` + blob("config") + `,"layers":[` + layers + `]}`
	}
	good := layers(blob("layer"))
	for name, content := range map[string]string{
		"not JSON":                   "<html>",
		"a field of another type":    strings.Replace(good, `"config"`, `"subject":"x","config"`, 1),
		"more than the limit":        good + strings.Repeat(" ", 5<<20),
		"an empty object":            "{}",
		"schema 1":                   `{"schemaVersion":1,"name":"a/b","fsLayers":[]}`,
		"an empty index":             `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[]}`,
		"a digest that is a path":    layers(`{"digest":"../../../metrics","size":2}`),
		"an unsupported algorithm":   layers(`{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":2}`),
		"a negative size":            layers(strings.Replace(blob("layer"), ":2}", ":-2}", 1)),
		"more layers than any image": layers(strings.Repeat(blob("layer")+",", 1000) + blob("layer")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			presence, err := serving(t, map[string]string{"1": content}).Presence(t.Context(), target())
			if diff := cmp.Diff(push.Presence{}, presence); err != nil || diff != "" {
				t.Errorf("Presence: error %v, (-want +got):\n%s", err, diff)
			}
		})
	}
	presence, err := serving(t, map[string]string{"1": good}).Presence(t.Context(), target())
	if err != nil || presence.Digest != digest.FromString(good) || !presence.Complete {
		t.Errorf("Presence of a valid manifest = %+v (error %v), want %s, complete", presence, err, digest.FromString(good))
	}
}

func TestPresence_IgnoresManifestsWithAnotherDigest(t *testing.T) {
	t.Parallel()
	content := `{"schemaVersion":2,"config":` + blob("config") + `,"layers":[]}`
	for _, asked := range []digest.Digest{digest.FromString("other"), digest.SHA512.FromString(content), digest.FromString(content)} {
		want := push.Presence{}
		if asked.Algorithm().FromString(content) == asked {
			want = push.Presence{Digest: asked, Complete: true, Sizes: map[digest.Digest]int64{digest.FromString("config"): 2}}
		}
		registry := serving(t, map[string]string{asked.String(): content})
		got, err := registry.Presence(t.Context(), push.Target{Repository: "a/b", Reference: asked.String()})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Presence(%s): error %v, (-want +got):\n%s", asked, err, diff)
		}
	}
}

func TestPresence_OfAnIndexNeedsOneRunnableImage(t *testing.T) {
	t.Parallel()
	image := `{"schemaVersion":2,"config":` + blob("config") + `,"layers":[]}`
	here := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(image), Size: int64(len(image))}
	gone := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4}
	other := gone
	other.Platform = &v1.Platform{OS: "plan9", Architecture: "mips"}
	for name, test := range map[string]struct {
		children []v1.Descriptor
		want     bool
	}{
		"an image":                          {[]v1.Descriptor{here}, true},
		"an image, and one that is missing": {[]v1.Descriptor{other, here}, true},
		"no image":                          {[]v1.Descriptor{gone, gone}, false},
		"no image of another platform":      {[]v1.Descriptor{other}, false},
	} {
		index, err := json.Marshal(v1.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: test.children,
		})
		if err != nil {
			t.Fatal(err)
		}
		registry := serving(t, map[string]string{"1": string(index), here.Digest.String(): image})
		presence, err := registry.Presence(t.Context(), target())
		if err != nil || presence.Complete != test.want || presence.Digest != digest.FromBytes(index) {
			t.Errorf("%s: Presence = %+v (error %v), want the index, complete %t", name, presence, err, test.want)
		}
	}
}
