//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// restartDespiteKills kills the webhook at a random moment after a build. In every third round, the tag moves to another build and back.
func restartDespiteKills(t *testing.T) {
	const name = "killed-restart"
	image := buildImage(t, "e2e/killed-restart:local", firstBuild)
	restartable(t, name, image)
	random, rounds := newRandom(t), count(2, 50)
	var longest time.Duration
	for round := range rounds {
		eventuallyRewrites(t) // the webhook is back after the last kill
		before := awaitComplete(t, name)
		build := fmt.Sprint("build ", round+1)
		most := killDuringRestart(t, image, build, round%3 == 1, random)
		longest = max(longest, awaitAnswer(t, name, build, lastBuildLimit))
		if restarts := awaitComplete(t, name) - before; restarts > most {
			t.Errorf("round %d: %d restarts, want %d at most", round+1, restarts, most)
		}
		awaitAnswer(t, name, build, time.Second)
	}
	t.Logf("the webhook was killed %d times; the last build answered at most %.1f s later", rounds, longest.Seconds())
}

// killDuringRestart builds the image and kills the webhook up to 2 s before or after the build. With detour, the tag moves to another
// build in between. It returns how many restarts there may be.
func killDuringRestart(t *testing.T, image, build string, detour bool, random *rand.Rand) (most int) {
	t.Helper()
	most = 1
	const longest = 2 * time.Second
	moment := time.Duration(random.Int64N(int64(2*longest))) - longest
	if moment < 0 {
		killWebhook(t, func() {})
		time.Sleep(longest + moment) // it may be back before the build
	}
	buildImage(t, image, build)
	if detour {
		kept := image + "-kept"
		docker(t, "tag", image, kept)
		t.Cleanup(func() { removeImage(t, kept) })
		buildImage(t, image, "detour for "+build)
		docker(t, "tag", kept, image)
		most = 3 // to the build, to the detour and back, if the controller is fast
	}
	if moment >= 0 {
		time.Sleep(moment) // until the moment of the kill
		killWebhook(t, func() {})
	}
	return most
}

// restartDespiteDocker restarts Docker after a build. The nodes must be started by hand.
func restartDespiteDocker(t *testing.T) {
	needFull(t)
	const name = "docker-restarted"
	image := buildImage(t, "e2e/docker-restarted:local", firstBuild)
	restartable(t, name, image)
	buildImage(t, image, "build 1")
	killDockerd(t)
	eventuallyRewrites(t)
	took := awaitAnswer(t, name, "build 1", lastBuildLimit)
	t.Logf("after a restart of Docker, the last build answered %.1f s after setup status was healthy", took.Seconds())
	if revision := awaitComplete(t, name); revision > 2 {
		t.Errorf("revision = %d, want 2 at most", revision)
	}
}
