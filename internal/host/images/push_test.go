package images

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher/pushertest"
	"kind-local-registry/internal/rewrite"
)

const registryHost = "localhost:5001"

// recorder is an Observer that records its calls.
type recorder struct {
	mu       sync.Mutex
	progress map[int]int
	pushed   map[int]Pushed
}

func (o *recorder) Pushing(image int, _ push.Progress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.progress[image]++
}

func (o *recorder) Pushed(image int, pushed Pushed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pushed[image] = pushed
}

func newRecorder() *recorder { return &recorder{progress: map[int]int{}, pushed: map[int]Pushed{}} }

func TestPush_ReturnsOutcomesInOrderOfImages(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	image := dockertest.NewImage("app", dockertest.Layer("base"), dockertest.Layer("app"))
	engine.Tag("docker.io/example/app:local", image)
	engine.Tag("docker.io/library/plain:latest", dockertest.NewImage("plain", dockertest.Layer("plain")))
	windows := dockertest.NewImage("windows", dockertest.Layer("dll"))
	windows.OS = "windows"
	engine.Tag("docker.io/example/windows:1", windows)
	by, observer := pushertest.NewService(t, engine, registryHost), newRecorder()

	results := Push(t.Context(), by, registryHost, []string{"example/app:local", "example/none:local", "plain", "example/windows:1"}, observer)

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
		t.Error("the observer receives no progress")
	}

	again := Push(t.Context(), by, registryHost, []string{"example/app:local"}, newRecorder())[0].Result
	if again.Bytes != 0 || again.Uploaded != 0 || again.Present != 3 || again.PresentBytes != results[0].Result.Bytes {
		t.Errorf("a second push returns %+v, want all %d bytes reported as already in the registry", again, results[0].Result.Bytes)
	}
}

// expected describes the expected outcome for an image.
type expected struct {
	image, rewritten string // rewritten is the beginning of the reference in the registry
	reason           rewrite.Reason
	says             string // part of the error
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

func TestPush_ReturnsErrCancelledIfInterrupted(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	engine.Tag("docker.io/example/app:local", dockertest.NewImage("app", dockertest.Layer("app")))
	by := pushertest.NewService(t, engine, registryHost)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, result := range Push(ctx, by, registryHost, make20("example/app:local"), newRecorder()) {
		if !errors.Is(result.Err, ErrCancelled) || result.Rewritten != "" {
			t.Errorf("result %+v, want ErrCancelled", result)
		}
	}
}

// make20 returns 20 names, which is more than Push pushes concurrently.
func make20(name string) []string {
	names := make([]string, 20)
	for i := range names {
		names[i] = name
	}
	return names
}

func TestCheck_NamesEveryInvalidReference(t *testing.T) {
	t.Parallel()
	good := []string{"nginx", "example/app:local", "ghcr.io/a/b:1", "reg.corp:5000/x@sha256:" + strings.Repeat("a", 64), "cafe", "deadbeefcafe:latest"}
	if err := Check(good); err != nil {
		t.Errorf("Check(%q) = %v", good, err)
	}
	for name, want := range map[string]string{
		"":                                  "invalid reference",
		"Example/App:local":                 "lowercase",
		"example/app:":                      "invalid reference",
		"6aeef4c549da":                      "is an image ID",
		"sha256:6aeef4":                     "is an image ID",
		"sha256:" + strings.Repeat("f", 64): "is an image ID",
		strings.Repeat("f", 64):             "is an image ID",
	} {
		err := Check([]string{"nginx", name, "Another/Bad:one"})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("Check(%q) = %v, want %q", name, err, want)
		} else if !strings.Contains(err.Error(), "Another/Bad:one") {
			t.Errorf("Check = %v does not name the second invalid reference", err)
		}
	}
}

// failing is a Pusher that always returns an error.
type failing struct{ err error }

func (f failing) Push(context.Context, string, func(push.Progress)) (push.Result, error) {
	return push.Result{}, f.err
}

func (f failing) NodeLayers(context.Context, string) ([]linkapi.NodeLayers, error) { return nil, f.err }

// linking is a Pusher whose images are pushed. It knows the nodes of images, unless it hangs.
type linking struct {
	nodes map[string][]linkapi.NodeLayers
	hangs bool
}

func (linking) Push(context.Context, string, func(push.Progress)) (push.Result, error) {
	time.Sleep(time.Second)
	return push.Result{Digest: "sha256:a"}, nil
}

func (l linking) NodeLayers(ctx context.Context, image string) ([]linkapi.NodeLayers, error) {
	if l.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.nodes[image], nil
}

func TestPush_ReturnsNodesWithTheImage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		known := []linkapi.NodeLayers{{Node: linkapi.Node{Name: "kind-worker"}, Layers: 3, Present: 2}}
		for _, by := range []linking{{nodes: map[string][]linkapi.NodeLayers{"a": known}}, {hangs: true}} {
			results := Push(t.Context(), by, registryHost, []string{"a", "b"}, newRecorder())
			if diff := cmp.Diff([][]linkapi.NodeLayers{by.nodes["a"], nil}, [][]linkapi.NodeLayers{results[0].Nodes, results[1].Nodes}); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
			for _, result := range results {
				if result.Err != nil || result.Rewritten == "" || result.Duration != time.Second {
					t.Errorf("result %+v, want an image that was pushed in one second, whatever its nodes", result)
				}
			}
		}
	})
}

func TestPush_AddsARemedyToEveryFailure(t *testing.T) {
	t.Parallel()
	for reason, want := range map[rewrite.Reason]string{
		rewrite.NotOnHost:         "build it first",
		rewrite.DigestNotHeld:     "without a digest",
		rewrite.WrongPlatform:     "--platform linux/",
		rewrite.Unservable:        "rebuild it",
		rewrite.NoSpace:           "docker system df",
		rewrite.Unmappable:        "docker tag",
		rewrite.InvalidReference:  "docker tag",
		rewrite.ExcludedByRule:    "setup up --rules",
		rewrite.LookupUnavailable: "docs/reasons.md",
	} {
		pushed := Push(t.Context(), failing{&rewrite.Refusal{Reason: reason}}, registryHost, []string{"a"}, newRecorder())[0]
		if pushed.Reason() != reason || !strings.Contains(pushed.Err.Error(), want) {
			t.Errorf("%s: reason %q, error %v; want %q", reason, pushed.Reason(), pushed.Err, want)
		}
	}
	pushed := Push(t.Context(), failing{errors.New("no answer")}, registryHost, []string{"a"}, newRecorder())[0]
	if want := "no answer; see docker logs kind-registry-pusher, and setup status"; pushed.Reason() != "" || pushed.Err.Error() != want {
		t.Errorf("reason %q, error %v; want %q", pushed.Reason(), pushed.Err, want)
	}
}
