package promise_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/promise"
)

// valid returns a promise of an image with two layers. change changes the image manifest.
func valid(t *testing.T, change func(*v1.Manifest)) promise.Promise {
	t.Helper()
	p := promise.Promise{Name: "a/b:1", ImageID: digest.FromString("id"), Repository: "a/b", Config: []byte(`{"a":"config"}`)}
	manifest := v1.Manifest{
		MediaType: "application/vnd.docker.distribution.manifest.v2+json",
		Config:    v1.Descriptor{Digest: digest.FromBytes(p.Config)},
		Layers:    []v1.Descriptor{{Digest: digest.FromString("one")}, {Digest: digest.FromString("two")}},
	}
	change(&manifest)
	var err error
	if p.Manifest, err = json.Marshal(manifest); err != nil {
		t.Fatal(err)
	}
	return p
}

func unchanged(*v1.Manifest) {}

func TestValidate_RefusesInvalidPromises(t *testing.T) {
	t.Parallel()
	if err := valid(t, unchanged).Validate(); err != nil {
		t.Errorf("Validate of a valid promise = %v, want nil", err)
	}
	for name, change := range map[string]func(*promise.Promise){
		"no repository":                func(p *promise.Promise) { p.Repository = "" },
		"a repository that is a path":  func(p *promise.Promise) { p.Repository = "../../etc" },
		"an absolute repository":       func(p *promise.Promise) { p.Repository = "/etc" },
		"a repository with a tag":      func(p *promise.Promise) { p.Repository = "a/b:1" },
		"an uppercase repository":      func(p *promise.Promise) { p.Repository = "a/B" },
		"a long repository":            func(p *promise.Promise) { p.Repository = strings.Repeat("a", 256) },
		"no image ID":                  func(p *promise.Promise) { p.ImageID = "" },
		"an image ID that is a path":   func(p *promise.Promise) { p.ImageID = "sha256:../../etc" },
		"another config":               func(p *promise.Promise) { p.Config = []byte(`{"another":"config"}`) },
		"no config":                    func(p *promise.Promise) { p.Config = nil },
		"no manifest":                  func(p *promise.Promise) { p.Manifest = nil },
		"a manifest that is not JSON":  func(p *promise.Promise) { p.Manifest = []byte("<html>") },
		"a manifest that is null":      func(p *promise.Promise) { p.Manifest = []byte("null") },
		"an index":                     func(p *promise.Promise) { p.Manifest = []byte(`{"schemaVersion":2,"manifests":[]}`) },
		"a manifest with more to read": func(p *promise.Promise) { p.Manifest = append(p.Manifest, "{}"...) },
		"a manifest over the limit":    func(p *promise.Promise) { p.Manifest = append(p.Manifest, spaces(4<<20)...) },
		"a layer's digest that is a path": func(p *promise.Promise) {
			p.Manifest = valid(t, func(m *v1.Manifest) { m.Layers[1].Digest = "sha256:../../etc" }).Manifest
		},
		"a layer without a digest": func(p *promise.Promise) {
			p.Manifest = valid(t, func(m *v1.Manifest) { m.Layers[0].Digest = "" }).Manifest
		},
	} {
		p := valid(t, unchanged)
		change(&p)
		if p.Validate() == nil {
			t.Errorf("Validate of a promise with %s = nil, want an error", name)
		}
	}
}

// spaces returns white space, which is valid after a JSON document.
func spaces(n int) string { return strings.Repeat(" ", n) }

func TestPromise_ReadsItsManifest(t *testing.T) {
	t.Parallel()
	p := valid(t, unchanged)
	if got, want := p.Digest(), digest.FromBytes(p.Manifest); got != want {
		t.Errorf("Digest() = %s, want %s", got, want)
	}
	want := []digest.Digest{digest.FromString("one"), digest.FromString("two")}
	if diff := cmp.Diff(want, p.Layers()); diff != "" {
		t.Errorf("Layers() (-want +got):\n%s", diff)
	}
	if got, want := p.MediaType(), "application/vnd.docker.distribution.manifest.v2+json"; got != want {
		t.Errorf("MediaType() = %q, want %q", got, want)
	}
	untyped := valid(t, func(m *v1.Manifest) { m.MediaType = "" })
	if got, want := untyped.MediaType(), v1.MediaTypeImageManifest; got != want {
		t.Errorf("MediaType() without a media type = %q, want %q", got, want)
	}
	untyped.Manifest = []byte("<html>")
	if got := untyped.Layers(); got != nil {
		t.Errorf("Layers() of an invalid manifest = %v, want none", got)
	}
}

func TestPromise_SurvivesEncodingByteForByte(t *testing.T) {
	t.Parallel()
	want := valid(t, unchanged)
	want.Manifest = append(want.Manifest, " \n\t"...) // as in a manifest with unusual formatting
	document, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got promise.Promise
	if err := json.Unmarshal(document, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("promise after encoding and decoding (-want +got):\n%s", diff)
	}
}
