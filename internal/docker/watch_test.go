package docker_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
)

// change is what Watch reports.
type change struct {
	name string
	id   digest.Digest
}

// watch watches the daemon until the test ends, and sends what Watch reports to the channel.
func watch(t *testing.T, client *docker.Client, since time.Time) <-chan change {
	t.Helper()
	changes, ended := make(chan change, 10), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		ended <- client.Watch(ctx, since, func(name string, id digest.Digest) { changes <- change{name, id} })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err == nil {
			t.Error("Watch = nil, want an error")
		}
	})
	return changes
}

func TestWatch_ReportsNameAndID(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	image := dockertest.NewImage("a", dockertest.Layer("a"))
	id := image.ID()
	engine.Tag("a/b:1", image)
	engine.Tag("a/b:2", image)
	changes := watch(t, newClient(t, engine), time.Time{})
	engine.AwaitWatcher()
	for name, test := range map[string]struct {
		action      events.Action
		actor, name string
		want        []change
	}{
		"a build":                      {events.ActionTag, id.String(), "a/b:1", []change{{"a/b:1", id}}},
		"a pull":                       {events.ActionPull, "a/b:2", "a/b", []change{{"a/b:2", ""}}},
		"a load into Docker's store":   {events.ActionLoad, id.String(), id.String(), []change{{"a/b:1", id}, {"a/b:2", id}}},
		"a load into containerd's one": {events.ActionLoad, id.String(), "a/b:1", []change{{"a/b:1", id}}},
	} {
		engine.Report(test.action, test.actor, test.name)
		var got []change
		for range test.want {
			got = append(got, <-changes)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("Watch after %s reported %v, want %v", name, got, test.want)
		}
	}
}

func TestWatch_BeginsWithMissedEvents(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	image := dockertest.NewImage("a", dockertest.Layer("a"))
	lost := time.Now()
	engine.Build("a/b:1", image)
	if got, want := <-watch(t, newClient(t, engine), lost), (change{"a/b:1", image.ID()}); got != want {
		t.Errorf("Watch reported %v, want %v", got, want)
	}
}
