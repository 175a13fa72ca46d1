package docker_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/rewrite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient returns a client of the engine.
func newClient(t *testing.T, engine *dockertest.Engine) *docker.Client {
	t.Helper()
	client, err := docker.New(engine.Host())
	if err != nil {
		t.Fatalf("New(%q): %v", engine.Host(), err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestImage_ResolvesNamesAndIDs(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	client := newClient(t, engine)
	layer := dockertest.Layer("app")
	image := dockertest.NewImage("a", layer, layer)
	engine.Tag("ghcr.io/a/b:1", image)
	want := docker.Image{
		ID: image.ID(), Layers: []digest.Digest{layer.Digest, layer.Digest},
		OS: "linux", Architecture: "amd64", Size: image.Size(),
	}
	for _, name := range []string{"ghcr.io/a/b:1", image.ID().String()} {
		got, err := client.Image(t.Context(), name)
		if err != nil {
			t.Fatalf("Image(%q): %v", name, err)
		}
		want.Name = name
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(docker.Image{})); diff != "" {
			t.Errorf("Image(%q) (-want +got):\n%s", name, diff)
		}
	}
}

func TestImage_RefusesAnImageThatIsNotOnTheHost(t *testing.T) {
	t.Parallel()
	client := newClient(t, dockertest.NewEngine(t))
	_, err := client.Image(t.Context(), "nginx:latest")
	wantRefusal(t, err, rewrite.NotOnHost)
}

func TestImage_ReturnsNoRefusalWithoutADaemon(t *testing.T) {
	t.Parallel()
	client, err := docker.New("unix:///does/not/exist.sock")
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	_, err = client.Image(t.Context(), "nginx:latest")
	if err == nil || rewrite.ReasonOf(err) != "" {
		t.Errorf("Image without a daemon: error %v, want an error that is no Refusal", err)
	}
}

func TestRefusal_NamesImagesThatCannotBePushed(t *testing.T) {
	t.Parallel()
	layer := dockertest.Layer("one")
	linux, windows := dockertest.NewImage("l", layer), dockertest.NewImage("w", layer)
	windows.OS = "windows"
	for name, test := range map[string]struct {
		image dockertest.Image
		api   string
		want  rewrite.Reason
	}{
		"a Windows image":                    {windows, "1.45", rewrite.WrongPlatform},
		"an image without layers":            {dockertest.NewImage("e"), "1.45", rewrite.Unservable},
		"a Linux image in an overlay2 store": {linux, "1.44", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := dockertest.NewEngine(t)
			engine.SetAPIVersion(test.api)
			engine.Tag("x:1", test.image)
			image, err := newClient(t, engine).Image(t.Context(), "x:1")
			if err != nil {
				t.Fatalf("Image: %v", err)
			}
			if test.want == "" {
				if err := image.Refusal(); err != nil {
					t.Errorf("Refusal() = %v, want none", err)
				}
				return
			}
			wantRefusal(t, image.Refusal(), test.want)
		})
	}
}

// wantRefusal fails the test unless err is a refusal with the given reason and a detail.
func wantRefusal(t *testing.T, err error, want rewrite.Reason) {
	t.Helper()
	refusal, ok := errors.AsType[*rewrite.Refusal](err)
	if !ok || refusal.Reason != want || refusal.Detail == "" {
		t.Errorf("error %v, want a refusal with reason %s and a detail", err, want)
	}
}
