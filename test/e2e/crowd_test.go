//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// crowdTimeout is how long it may take until hundreds of pods are all running. The kubelets need most of this time for their own
// work.
const crowdTimeout = 10 * time.Minute

func TestCrowd_PushesOneNewImageOnce(t *testing.T) {
	const app = "one-image"
	image, pods := loadImage(t, "e2e/one-image:local", 3), count(30, 200)
	uploads := blobUploads(t)
	t.Cleanup(func() { deletePods(t, app) })

	start := time.Now()
	var creating sync.WaitGroup
	for i := range pods {
		creating.Go(func() { createLabelled(t, app, fmt.Sprintf("%s-%d", app, i), image) })
	}
	creating.Wait()
	if t.Failed() {
		t.FailNow() // the expected number of pods will never exist
	}
	created := time.Since(start)
	running := awaitPodsWithin(t, crowdTimeout, app, pods, image)
	took := time.Since(start)

	t.Logf("%d pods of one new image: created within %.1f s, all running %.1f s after the first creation, %d healed",
		pods, created.Seconds(), took.Seconds(), countHealed(running))
	if got := blobUploads(t) - uploads; got != newBlobs {
		t.Errorf("%d blobs were uploaded, want the image's %d", got, newBlobs)
	}
}

func TestCrowd_PushesManyNewImagesInOrder(t *testing.T) {
	const app = "many-images"
	pods := count(40, 200)
	var images []string
	for i := range count(30, 50) {
		images = append(images, loadImage(t, fmt.Sprintf("e2e/many-images-%d:local", i), 5))
	}

	start := time.Now()
	createPods(t, app, pods, images...) // sequentially, so that the images are first requested in a known order
	awaitUngated(t, crowdTimeout, app)
	ungated := time.Since(start)
	running := awaitPodsWithin(t, crowdTimeout, app, pods, "")
	took := time.Since(start)

	begun, most := readPushes(t, start, images)
	displaced := wantPushedInOrder(t, images, begun)
	t.Logf("%d pods of %d new images of 5 MB: none gated %.1f s after the first creation, all running after %.1f s, %d healed; "+
		"at most %d concurrent pushes, none more than %d places out of order",
		pods, len(images), ungated.Seconds(), took.Seconds(), countHealed(running), most, displaced)
	// The pusher runs 2 pushes concurrently. It logs the end of a push only after it has freed the push's slot, so 2 more pushes may
	// appear to be running.
	if most > 4 {
		t.Errorf("%d concurrent pushes, want 2", most)
	}
}

// wantPushedInOrder fails the test unless the pushes began in roughly the order in which the images were requested. It returns
// the largest number of places by which an image was out of order.
//
// The controller requests each pod's push immediately, and the pusher queues requests in the order in which they arrive. Only the
// connection between controller and pusher can reorder requests, by a few places. In a random order of 50 images, some image
// would almost always be further out of order.
func wantPushedInOrder(t *testing.T, requested, begun []string) int {
	t.Helper()
	const tolerated = 15
	most := 0
	for place, image := range requested {
		got := slices.Index(begun, image)
		if got < 0 {
			t.Errorf("the pusher's log does not show that a push of %s began", image)
			continue
		}
		displaced := max(got-place, place-got)
		if displaced > tolerated {
			t.Errorf("the push of %s was requested at place %d and began at place %d, want at most %d places apart",
				image, place, got, tolerated)
		}
		most = max(most, displaced)
	}
	return most
}

// readPushes reads what the pusher has logged since start. It returns the images in the order in which their pushes began, and
// the maximum number of concurrent pushes.
func readPushes(t *testing.T, start time.Time, images []string) (begun []string, most int) {
	t.Helper()
	log, err := backgroundCommand("docker", "logs", "--since", start.Format(time.RFC3339Nano), config.PusherContainer)
	if err != nil {
		t.Fatalf("reading the pusher's log: %v\n%s", err, log)
	}
	known, ended := map[string]bool{}, map[string]bool{}
	for text := range strings.Lines(log) {
		var line struct {
			Message string `json:"msg"`
			Image   string `json:"image"`
		}
		if json.Unmarshal([]byte(text), &line) != nil || !slices.Contains(images, line.Image) {
			continue
		}
		switch {
		case line.Message == "pushing image" && !known[line.Image]:
			known[line.Image] = true
			begun = append(begun, line.Image)
		case line.Message == "image pushed":
			ended[line.Image] = true
		}
		most = max(most, len(known)-len(ended))
	}
	return begun, most
}

// createPods creates n pods sequentially, using the images in turn. The pods have the label app=APP and the names APP-0, APP-1
// and so on. They are deleted when the test ends.
func createPods(t *testing.T, app string, n int, images ...string) {
	t.Helper()
	t.Cleanup(func() { deletePods(t, app) })
	for i := range n {
		createLabelled(t, app, fmt.Sprintf("%s-%d", app, i), images[i%len(images)])
	}
}

// createLabelled creates one pod with the label app=APP. The caller deletes it with deletePods.
func createLabelled(t *testing.T, app, name, image string) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}}, Spec: podSpec(image)}
	if _, err := suite.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Errorf("creating pod %s: %v", name, err)
	}
}

// listGated returns the number of pods with the label app=APP that have our gate.
func listGated(ctx context.Context, app string) (int, error) {
	list, err := suite.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return 0, fmt.Errorf("listing the pods of %s: %w", app, err)
	}
	gated := 0
	for i := range list.Items {
		if slices.Contains(list.Items[i].Spec.SchedulingGates, corev1.PodSchedulingGate{Name: config.Gate}) {
			gated++
		}
	}
	return gated, nil
}

// countGated is like listGated, but fails the test on an error.
func countGated(t *testing.T, app string) int {
	t.Helper()
	gated, err := listGated(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return gated
}

// awaitUngated waits until no pod with the label app=APP has our gate.
func awaitUngated(t *testing.T, limit time.Duration, app string) {
	t.Helper()
	eventually(t, limit, "all pods of "+app+" are ungated", func(ctx context.Context) string {
		gated, err := listGated(ctx, app)
		if err != nil {
			return err.Error()
		}
		if gated > 0 {
			return fmt.Sprintf("%d are gated", gated)
		}
		return ""
	})
}

// countHealed returns how many of the pods were healed.
func countHealed(pods []corev1.Pod) int {
	healed := 0
	for i := range pods {
		if pods[i].Annotations[config.HealedAnnotation] != "" {
			healed++
		}
	}
	return healed
}

// deletePods deletes the pods with the label app=APP, and waits until they no longer exist in the API server. It can be called in
// a cleanup.
func deletePods(t *testing.T, app string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	pods, selected := suite.kube.CoreV1().Pods(namespace), metav1.ListOptions{LabelSelector: "app=" + app}
	// With a grace period of 0, the API server would delete the pods before the kubelets have stopped them.
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))}, selected); err != nil {
		t.Errorf("deleting the pods of %s: %v", app, err)
		return
	}
	left := await(ctx, func(ctx context.Context) string {
		list, err := pods.List(ctx, selected)
		if err != nil {
			return err.Error()
		}
		if len(list.Items) > 0 {
			return fmt.Sprintf("%d pods are left", len(list.Items))
		}
		return ""
	})
	if left != "" {
		t.Errorf("deleting the pods of %s: %s", app, left)
	}
}
