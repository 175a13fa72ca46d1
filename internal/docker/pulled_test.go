package docker_test

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
)

func TestImage_ReportsWhetherItWasPulledByThatName(t *testing.T) {
	t.Parallel()
	at := "@" + digest.FromString("a manifest").String()
	overlay2 := func(e *dockertest.Engine) { e.SetDriver("overlay2") }
	podman := func(e *dockertest.Engine) { e.SetDriver("overlay") }
	containerd := func(version string) func(*dockertest.Engine) {
		return func(e *dockertest.Engine) {
			e.UseContainerd()
			e.SetAPIVersion(version)
		}
	}
	for what, test := range map[string]struct {
		engine  func(*dockertest.Engine)
		name    string
		digests []string
		pulls   []string
		want    bool
	}{
		"overlay2: pulled by its full name":              {overlay2, "ghcr.io/a/b:1", []string{"ghcr.io/a/b" + at}, nil, true},
		"overlay2: pulled by a name of Docker Hub":       {overlay2, "docker.io/library/nginx:1", []string{"nginx" + at}, nil, true},
		"overlay2: requested by a familiar name":         {overlay2, "a/b:1", []string{"docker.io/a/b" + at}, nil, true},
		"overlay2: pulled by a digest":                   {overlay2, "a/b" + at, []string{"a/b" + at}, nil, true},
		"overlay2: pulled by the second of two names":    {overlay2, "a/b:1", []string{"x/y" + at, "a/b" + at}, nil, true},
		"overlay2: built, not pushed":                    {overlay2, "a/b:1", nil, nil, false},
		"overlay2: a tag of an image pulled elsewhere":   {overlay2, "a/b:1", []string{"ghcr.io/a/b" + at}, nil, false},
		"overlay2: a name that begins with another":      {overlay2, "a/bc:1", []string{"a/b" + at}, nil, false},
		"overlay2: untagged, as Docker before 24 has it": {overlay2, "a/b:1", []string{"<none>@<none>"}, nil, false},
		"containerd, API 1.53: pulled":                   {containerd("1.53"), "nginx:1", nil, []string{"docker.io/library/nginx"}, true},
		"containerd, a later API than ours: pulled":      {containerd("1.99"), "a/b:1", nil, []string{"docker.io/a/b"}, true},
		"containerd, API 1.53: pulled elsewhere":         {containerd("1.53"), "a/b:1", []string{"a/b" + at}, []string{"ghcr.io/a/b"}, false},
		"containerd, API 1.53: pulled from a port":       {containerd("1.53"), "r.corp:5000/a/b:1", nil, []string{"r.corp/a/b"}, true},
		"containerd, API 1.53: from a port of one word":  {containerd("1.53"), "reg:5000/a:1", nil, []string{"docker.io/reg/a"}, true},
		"overlay2: pulled from another port":             {overlay2, "r.corp:5000/a/b:1", []string{"r.corp/a/b" + at}, nil, false},
		"containerd, API 1.53: built":                    {containerd("1.53"), "a/b:1", []string{"a/b" + at}, nil, false},
		"containerd, API 1.52, which does not report it": {containerd("1.52"), "a/b:1", []string{"a/b" + at}, []string{"docker.io/a/b"}, false},
		"Podman, which reports digests for its builds":   {podman, "a/b:1", []string{"docker.io/a/b" + at}, nil, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			engine := dockertest.NewEngine(t)
			test.engine(engine)
			image := dockertest.NewImage("a", dockertest.Layer("one"))
			image.RepoDigests, image.PulledFrom = test.digests, test.pulls
			engine.Tag(test.name, image)
			client := newClient(t, engine)
			for name, want := range map[string]bool{test.name: test.want, image.ID().String(): false} {
				got, err := client.Image(t.Context(), name)
				if err != nil || got.Pulled != want {
					t.Errorf("Image(%q).Pulled = %t, error %v, want %t", name, got.Pulled, err, want)
				}
			}
		})
	}
}
