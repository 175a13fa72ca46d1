//go:build daemon

package daemon

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/test/dockerd"
	"kind-local-registry/test/testimage"
)

// TestLookup_ReportsOnlyPulledImages adds images to the daemon in every way that does not require a container. With the
// containerd image store, Docker needs API 1.53 or later to report which images were pulled. With an earlier API version, lookups
// report no image as pulled.
func TestLookup_ReportsOnlyPulledImages(t *testing.T) {
	t.Parallel()
	eachDaemon(t, func(t *testing.T, d *daemon) {
		host := strings.TrimPrefix(registrytest.Start(t, t.TempDir()), "http://")
		original, built, loaded := host+"/pulled/a:1", host+"/pulled/a:2", host+"/pulled/a:3"
		tagged, pushed := host+"/tagged/a:1", host+"/pushed/a:1"
		upload(t, original)
		d.pull(t, original)
		d.build(t, built, "FROM "+original+"\nLABEL built=here\n")
		image := testimage.Image(t, testimage.Layer(t, []testimage.File{testimage.Regular("loaded", host)}))
		d.Load(t, bytes.NewReader(saveArchive(t, image, loaded)))
		d.tag(t, original, tagged)
		d.build(t, pushed, "FROM "+original+"\nLABEL built=there\n")
		d.push(t, pushed)

		knows := d.name == string(dockerd.Overlay2) || versions.GreaterThanOrEqualTo(d.API.ClientVersion(), "1.53")
		s := newService(t, d, t.TempDir())
		for reference, want := range map[string]bool{
			original: knows, pushed: knows, built: false, loaded: false, tagged: false,
		} {
			got, err := s.Lookup(t.Context(), rewritetest.Name(t, reference))
			if err != nil || !got.OnHost || got.Pulled != want {
				t.Errorf("Lookup(%q) = %+v, %v, want it on the host and pulled %t", reference, got, err, want)
			}
		}
	})
}

// upload creates an image and uploads it to the registry that its reference names.
func upload(t *testing.T, reference string) {
	t.Helper()
	target, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	image := testimage.Image(t, testimage.Layer(t, []testimage.File{testimage.Regular("uploaded", reference)}))
	if err := remote.Write(target, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// pull pulls an image, like docker pull.
func (d *daemon) pull(t *testing.T, reference string) {
	t.Helper()
	pulling, err := d.API.ImagePull(t.Context(), reference, client.ImagePullOptions{})
	if err == nil {
		err = pulling.Wait(t.Context())
	}
	if err != nil {
		t.Fatalf("%s: pulling: %v", d.name, err)
	}
}

// push pushes an image, like docker push.
func (d *daemon) push(t *testing.T, reference string) {
	t.Helper()
	pushing, err := d.API.ImagePush(t.Context(), reference, client.ImagePushOptions{RegistryAuth: "e30="}) // {} in base64: no credentials
	if err == nil {
		err = pushing.Wait(t.Context())
	}
	if err != nil {
		t.Fatalf("%s: pushing: %v", d.name, err)
	}
}

// tag adds a tag to an image, like docker tag.
func (d *daemon) tag(t *testing.T, source, target string) {
	t.Helper()
	if _, err := d.API.ImageTag(t.Context(), client.ImageTagOptions{Source: source, Target: target}); err != nil {
		t.Fatalf("%s: tagging: %v", d.name, err)
	}
}

// build builds an image, like docker build without BuildKit.
func (d *daemon) build(t *testing.T, reference, dockerfile string) {
	t.Helper()
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, dockerfile); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	building, err := d.API.ImageBuild(t.Context(), &files, client.ImageBuildOptions{Tags: []string{reference}})
	if err != nil {
		t.Fatalf("%s: building: %v", d.name, err)
	}
	output, err := io.ReadAll(building.Body)
	if closed := building.Body.Close(); err != nil || closed != nil || !strings.Contains(string(output), "Successfully tagged") {
		t.Fatalf("%s: building: %v, %v\n%s", d.name, err, closed, output)
	}
}
