package host

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
)

const testRegistryHost = "localhost:5001"

// told collects what an observer is told.
type told struct {
	mu       sync.Mutex
	progress map[int]int
	pushed   map[int]Pushed
}

func (o *told) Pushing(image int, _ push.Progress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.progress[image]++
}

func (o *told) Pushed(image int, pushed Pushed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pushed[image] = pushed
}

// newPushing returns what pushes images of the engine into a registry of its own.
func newPushing(t *testing.T, engine *dockertest.Engine) (pushing, *told) {
	t.Helper()
	registry, err := push.NewRegistry(registrytest.Start(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	daemon, err := docker.New(engine.Host())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Close() })
	service := pusher.NewService(daemon, registry, testRegistryHost, rules.Rules{}, slog.New(slog.DiscardHandler))
	t.Cleanup(service.Close)
	observer := &told{progress: map[int]int{}, pushed: map[int]Pushed{}}
	return pushing{to: service, registryHost: testRegistryHost, observer: observer}, observer
}

func TestPushAll_ReturnsWhatBecameOfEachImageInTheOrderOfTheNames(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	image := dockertest.NewImage("app", dockertest.Layer("base"), dockertest.Layer("app"))
	engine.Tag("docker.io/example/app:local", image)
	engine.Tag("docker.io/library/plain:latest", dockertest.NewImage("plain", dockertest.Layer("plain")))
	windows := dockertest.NewImage("windows", dockertest.Layer("dll"))
	windows.OS = "windows"
	engine.Tag("docker.io/example/windows:1", windows)
	with, observer := newPushing(t, engine)

	results := pushAll(t.Context(), with, []string{"example/app:local", "example/none:local", "plain", "example/windows:1"})

	for i, want := range []expected{
		{image: "example/app:local", rewritten: "localhost:5001/example/app:local@sha256:"},
		{image: "example/none:local", reason: rewrite.NotOnHost, says: "build it first"},
		{image: "plain", rewritten: "localhost:5001/plain:latest@sha256:"},
		{image: "example/windows:1", reason: rewrite.WrongPlatform, says: "docker build --platform linux/"},
	} {
		want.check(t, results[i])
		want.check(t, observer.pushed[i])
	}
	if observer.progress[0] == 0 {
		t.Error("the observer is told of no progress")
	}

	again := pushAll(t.Context(), with, []string{"example/app:local"})[0].Result
	if again.Bytes != 0 || again.Uploaded != 0 || again.Present != 3 || again.PresentBytes != results[0].Result.Bytes {
		t.Errorf("a second push says %+v, want that all %d bytes were there", again, results[0].Result.Bytes)
	}
}

// expected is what has to become of an image.
type expected struct {
	image, rewritten string // what the reference in the registry begins with
	reason           rewrite.Reason
	says             string // what the error has to say
}

func (w expected) check(t *testing.T, got Pushed) {
	t.Helper()
	if got.Image != w.image || got.Reason() != w.reason {
		t.Errorf("result of %s with reason %q, want %s and %q", got.Image, got.Reason(), w.image, w.reason)
	}
	if !strings.HasPrefix(got.Rewritten, w.rewritten) || (got.Rewritten == "") != (w.rewritten == "") {
		t.Errorf("%s is in the registry as %q, want %q…", got.Image, got.Rewritten, w.rewritten)
	}
	if (got.Err == nil) != (w.says == "") || got.Err != nil && !strings.Contains(got.Err.Error(), w.says) {
		t.Errorf("%s: error %v, want %q in it", got.Image, got.Err, w.says)
	}
}

func TestPushAll_CallsWhatWasInterruptedCancelled(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	engine.Tag("docker.io/example/app:local", dockertest.NewImage("app", dockertest.Layer("app")))
	with, _ := newPushing(t, engine)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, result := range pushAll(ctx, with, make20("example/app:local")) {
		if !errors.Is(result.Err, ErrCancelled) || result.Rewritten != "" {
			t.Errorf("result %+v, want ErrCancelled", result)
		}
	}
}

// make20 returns more names than are pushed at a time.
func make20(name string) []string {
	names := make([]string, 20)
	for i := range names {
		names[i] = name
	}
	return names
}

func TestCheckImages_NamesEveryReferenceThatIsNone(t *testing.T) {
	t.Parallel()
	good := []string{"nginx", "example/app:local", "ghcr.io/a/b:1", "reg.corp:5000/x@sha256:" + strings.Repeat("a", 64), "cafe", "deadbeefcafe:latest"}
	if err := CheckImages(good); err != nil {
		t.Errorf("CheckImages(%q) = %v", good, err)
	}
	for name, want := range map[string]string{
		"":                                  "invalid reference",
		"Example/App:local":                 "lowercase",
		"example/app:":                      "invalid reference",
		"6aeef4c549da":                      "is the ID of an image",
		"sha256:6aeef4":                     "is the ID of an image",
		"sha256:" + strings.Repeat("f", 64): "is the ID of an image",
		strings.Repeat("f", 64):             "is the ID of an image",
	} {
		err := CheckImages([]string{"nginx", name, "Another/Bad:one"})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("CheckImages(%q) = %v, want %q", name, err, want)
		} else if !strings.Contains(err.Error(), "Another/Bad:one") {
			t.Errorf("CheckImages = %v does not name the second fault", err)
		}
	}
}
