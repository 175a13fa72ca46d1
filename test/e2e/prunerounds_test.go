//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	containername "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/test/dockerd"
	"kind-local-registry/test/testimage"
)

const (
	roundApps = 3 // each has a pod on each node
	// roundBytes is the size in bytes of each build's own layer. All builds share the layer with the program.
	roundBytes = 50_000
	// oneImage is the maximum size in bytes of what a build adds to the registry: its layer, config and image manifest.
	oneImage = roundBytes + 10_000
	// roundSlack is how many builds fit within the limit, beside the images that are in use.
	roundSlack = 4
	roundsName = "prune-rounds" // label of the pods
)

// pruneRounds rebuilds and deploys images, and prunes with a limit.
type pruneRounds struct {
	host    *dockerd.Daemon // the host's daemon
	pusher  *pusher.Client
	stored  blobs
	limit   int64                // of the registry's storage, in bytes
	pods    map[int][]corev1.Pod // that run, by app
	removed int                  // number of images that were removed from the registry
	// most and after are the maximum sizes in bytes of the registry's storage: after a deployment, and after pruning.
	most, after int64
}

// TestPrune_KeepsImagesInUseWithinALimit rebuilds and deploys small images, and prunes with a limit, again and again. In every fourth
// round, it also prunes while the pods start. A Deployment's image is neither on the host nor looked up, and must stay.
func TestPrune_KeepsImagesInUseWithinALimit(t *testing.T) {
	const stable = "prune-stable"
	image := buildImage(t, "e2e/prune-stable:local", "stable", 1)
	createDeployment(t, deployment(stable, image, 2))
	all := awaitPods(t, stable, 2, "")
	awaitStored(t, "e2e/prune-stable", 1)
	removeImage(t, image)
	r := newPruneRounds(t)
	begin, longest, rounds := time.Now(), time.Duration(count(20, 4*3600))*time.Second, 0
	for ; rounds < count(100, 1000) && time.Since(begin) < longest && !t.Failed(); rounds++ {
		r.round(t, rounds)
	}
	t.Logf("%d rounds in %s: %d images removed; at most %d bytes after a deployment, %d after pruning, with a limit of %d",
		rounds, time.Since(begin).Round(time.Second), r.removed, r.most, r.after, r.limit)
	if want := count(3, 1000); rounds < want {
		t.Errorf("%d rounds, want at least %d", rounds, want)
	}
	if r.removed < rounds-roundSlack-roundApps {
		t.Errorf("%d images were removed in %d rounds, want all but those that the limit allows", r.removed, rounds)
	}
	if r.most > r.limit+oneImage {
		t.Errorf("after a deployment, the registry had up to %d bytes, want at most the limit of %d plus one image", r.most, r.limit)
	}
	eventually(t, time.Minute, "nodes have no builds that the registry has removed", r.nodesMatch)
	for _, pods := range r.pods {
		all = append(all, pods...)
	}
	for _, pod := range all {
		wantKept(t, &pod)
	}
}

// newPruneRounds deploys the first build of each app, and removes everything that is not used. The limit is what the registry then has,
// and the slack.
func newPruneRounds(t *testing.T) *pruneRounds {
	t.Helper()
	api, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	connected := pusher.NewClient(pusherAccess(t)) // as setup prune does
	t.Cleanup(connected.Close)
	r := &pruneRounds{
		host: &dockerd.Daemon{Host: "the host's Docker", API: api}, pusher: connected, stored: openBlobs(t), pods: map[int][]corev1.Pod{},
	}
	t.Cleanup(r.cleanUp)
	for app := range roundApps {
		r.deploy(t, app, "first")
	}
	pruneUnused(t)
	r.limit = r.stored.bytes(t) + roundSlack*oneImage
	return r
}

// cleanUp removes the pods, and the images from the host.
func (r *pruneRounds) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = suite.kube.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64)},
		metav1.ListOptions{LabelSelector: "app=" + roundsName})
	for app := range roundApps {
		_, _ = r.host.API.ImageRemove(ctx, roundImage(app), client.ImageRemoveOptions{Force: true, PruneChildren: true})
	}
}

// roundImage returns the reference of an app's image.
func roundImage(app int) string { return fmt.Sprintf("e2e/prune-rounds-%d:local", app) }

// round replaces one app's build, and applies the limit.
func (r *pruneRounds) round(t *testing.T, round int) {
	t.Helper()
	if round%4 == 3 {
		r.pruneMeanwhile(t, func() { r.deploy(t, round%roundApps, fmt.Sprint(round)) })
	} else {
		r.deploy(t, round%roundApps, fmt.Sprint(round))
	}
	r.most = max(r.most, r.stored.bytes(t))
	eventually(t, time.Minute, "the registry is within its limit", r.prune)
	r.after = max(r.after, r.stored.bytes(t))
	if r.after > r.limit {
		t.Errorf("after pruning in round %d, the registry has %d bytes, want at most %d", round, r.after, r.limit)
	}
	for _, pods := range r.pods {
		if problem := inRegistry(t.Context(), &pods[0]); problem != "" {
			t.Errorf("after pruning in round %d, %s is not in the registry: %s", round, pods[0].Spec.Containers[0].Image, problem)
		}
	}
}

// pruneMeanwhile prunes while f runs.
func (r *pruneRounds) pruneMeanwhile(t *testing.T, f func()) {
	t.Helper()
	var pruning sync.WaitGroup
	ended := make(chan struct{})
	pruning.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			if _, _, err := r.apply(t.Context()); err != nil {
				t.Errorf("pruning while pods start: %v", err)
				return
			}
		}
	})
	defer pruning.Wait()
	defer close(ended)
	f()
}

// deploy rebuilds the app's image, and replaces its pods. The new pods must run the new build.
func (r *pruneRounds) deploy(t *testing.T, app int, build string) {
	t.Helper()
	old := r.rebuild(t, roundImage(app))
	var names []string
	for i, node := range []string{worker, controlPlane} {
		name := fmt.Sprintf("prune-rounds-%d-%s-%d", app, build, i)
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": roundsName}}, Spec: onNode(node, roundImage(app)),
		}
		if _, err := suite.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatalf("creating pod %s: %v", name, err)
		}
		names = append(names, name)
	}
	replaced := r.pods[app]
	r.pods[app] = nil
	for _, name := range names {
		running := awaitRunning(t, name, time.Minute)
		if !pinned(running, roundImage(app)) || len(replaced) > 0 && running.Spec.Containers[0].Image == replaced[0].Spec.Containers[0].Image {
			t.Errorf("pod %s runs %s, want the new build from the registry", name, running.Spec.Containers[0].Image)
		}
		r.pods[app] = append(r.pods[app], *running)
	}
	for _, pod := range replaced {
		deletePod(t, pod.Name, namespace)
	}
	eventually(t, time.Minute, "the registry gets the image", func(ctx context.Context) string { return inRegistry(ctx, &r.pods[app][0]) })
	if old == "" {
		return
	}
	if _, err := r.host.API.ImageRemove(t.Context(), old, client.ImageRemoveOptions{Force: true, PruneChildren: true}); err != nil {
		t.Errorf("removing an old build from Docker: %v", err)
	}
}

// rebuild loads a new build into Docker, and returns the ID of the build that it replaces, or "".
func (r *pruneRounds) rebuild(t *testing.T, reference string) (old string) {
	t.Helper()
	if found, err := r.host.API.ImageInspect(t.Context(), reference); err == nil {
		old = found.ID
	}
	content := make([]byte, roundBytes)
	_, _ = rand.Read(content) // never fails
	image := runnable(t, [][]testimage.File{{helloFile(t)}, {testimage.Regular("own", string(content))}})
	tag, err := containername.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(tag, image, &archive); err != nil {
		t.Fatal(err)
	}
	r.host.Load(t, &archive)
	return old
}

// prune applies the limit as setup prune --keep-storage does. It returns "" if the registry then is within the limit.
func (r *pruneRounds) prune(ctx context.Context) string {
	pruned, left, err := r.apply(ctx)
	switch {
	case err != nil:
		return err.Error()
	case left > r.limit:
		return fmt.Sprintf("%d bytes are left, with a limit of %d; prune planned to remove %d images with %d bytes, and has removed %+v",
			left, r.limit, len(pruned.Plan.Registry), pruned.Plan.RegistryBytes, pruned.Removed)
	}
	return ""
}

// apply is like prune, but returns the outcome, and how many bytes are left in the registry.
func (r *pruneRounds) apply(ctx context.Context) (pruned disk.Pruned, left int64, err error) {
	pruned, err = r.pusher.Prune(ctx, disk.Options{Keep: &r.limit}, func(disk.Step) {})
	switch {
	case err != nil:
		return pruned, 0, err
	case pruned.Plan.Blocked != "":
		return pruned, 0, errors.New(pruned.Plan.Blocked)
	case pruned.Removed == nil:
		return pruned, pruned.Plan.RegistryLeft, nil
	}
	r.removed += len(pruned.Removed.Images)
	return pruned, pruned.Removed.Left, nil
}

// nodesMatch prunes again, because earlier runs kept builds whose containers were still being stopped. It returns "" if the nodes then
// have no build that the registry has removed.
func (r *pruneRounds) nodesMatch(ctx context.Context) string {
	if problem := r.prune(ctx); problem != "" {
		return problem
	}
	report, err := r.pusher.Images(ctx, func(disk.Step) {})
	if err != nil {
		return err.Error()
	}
	removed := slices.DeleteFunc(report.Images, func(image disk.Image) bool {
		return image.InRegistry || !strings.HasPrefix(image.Repository, "e2e/prune-")
	})
	if len(removed) > 0 {
		return fmt.Sprintf("%d builds, among them %+v", len(removed), removed[0])
	}
	return ""
}
