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

// crowdTime is how long hundreds of pods may take until the last of them runs. Most of it is the kubelets' own.
const crowdTime = 10 * time.Minute

func TestCrowd_OfOneNewImageIsOnePush(t *testing.T) {
	const app = "one-image"
	image, pods := loadImage(t, "e2e/one-image:local", 3), count(60, 200)
	uploads := blobUploads(t)
	t.Cleanup(func() { deletePods(t, app) })

	start := time.Now()
	var creating sync.WaitGroup
	for i := range pods {
		creating.Go(func() { createOf(t, app, fmt.Sprintf("%s-%d", app, i), image) })
	}
	creating.Wait()
	if t.Failed() {
		t.FailNow() // there will never be as many
	}
	created := time.Since(start)
	running := awaitPodsWithin(t, crowdTime, app, pods, image)
	took := time.Since(start)

	t.Logf("%d pods of one new image were created within %.1f s, and all ran %.1f s after the first creation; %d of them had to be healed",
		pods, created.Seconds(), took.Seconds(), healedOf(running))
	if got := blobUploads(t) - uploads; got != newBlobs {
		t.Errorf("%d blobs were uploaded, want the %d of the image, once", got, newBlobs)
	}
}

func TestCrowd_OfManyNewImagesIsServedInOrder(t *testing.T) {
	const app = "many-images"
	pods := count(60, 200)
	var images []string
	for i := range count(30, 50) {
		images = append(images, loadImage(t, fmt.Sprintf("e2e/many-images-%d:local", i), 5))
	}

	start := time.Now()
	createPods(t, app, pods, images...) // one after the other, so that there is an order: the first pods want an image each
	awaitLifted(t, crowdTime, app)
	lifted := time.Since(start)
	running := awaitPodsWithin(t, crowdTime, app, pods, "")
	took := time.Since(start)

	begun, most := pushesSince(t, start, images)
	displaced := wantServedInOrder(t, images, begun)
	t.Logf("%d pods of %d new images of 5 MB: %.1f s after the first creation none was gated, after %.1f s all ran, and %d had to be healed; "+
		"at most %d images were copied at once, and none was served more than %d places out of its turn",
		pods, len(images), lifted.Seconds(), took.Seconds(), healedOf(running), most, displaced)
	// The pusher copies 2 at once. A copy's end is logged after its slot is free, so that 2 more may seem to run.
	if most > 4 {
		t.Errorf("%d images were copied at once, want 2", most)
	}
}

// wantServedInOrder fails the test unless images were begun in the order in which they were wanted, and returns by how many
// places one was out of its turn at most.
//
// The controller takes each pod as it comes and asks for its image at once, and the pusher serves those who wait in the
// order in which they came: only what happens between the two can put one before another, and that is a matter of a few
// places. In a random order of 50 images there is one further out of its turn, nearly always.
func wantServedInOrder(t *testing.T, wanted, begun []string) int {
	t.Helper()
	const tolerated = 15
	most := 0
	for place, image := range wanted {
		got := slices.Index(begun, image)
		if got < 0 {
			t.Errorf("the pusher's log does not say when it began to push %s", image)
			continue
		}
		displaced := max(got-place, place-got)
		if displaced > tolerated {
			t.Errorf("%s was wanted at place %d and begun at place %d, want at most %d between them", image, place, got, tolerated)
		}
		most = max(most, displaced)
	}
	return most
}

// pushesSince reads in the pusher's log, from start on, in which order the images were first begun, and how many of them
// were being copied at once at most.
func pushesSince(t *testing.T, start time.Time, images []string) (begun []string, most int) {
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

// createPods creates n pods of the images in turn, one after the other, all labelled app=name and named after it. They are
// gone when the test has ended.
func createPods(t *testing.T, app string, n int, images ...string) {
	t.Helper()
	t.Cleanup(func() { deletePods(t, app) })
	for i := range n {
		createOf(t, app, fmt.Sprintf("%s-%d", app, i), images[i%len(images)])
	}
}

// createOf creates one pod, labelled app=name, of a crowd which deletePods deletes.
func createOf(t *testing.T, app, name, image string) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}}, Spec: podSpec(image)}
	if _, err := suite.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Errorf("creating pod %s: %v", name, err)
	}
}

// gatedPods returns how many of the pods labelled app=name our gate holds.
func gatedPods(ctx context.Context, app string) (int, error) {
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

// gatedNow is gatedPods, which must be known.
func gatedNow(t *testing.T, app string) int {
	t.Helper()
	gated, err := gatedPods(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return gated
}

// awaitLifted waits until our gate holds none of the pods labelled app=name.
func awaitLifted(t *testing.T, limit time.Duration, app string) {
	t.Helper()
	eventually(t, limit, "no pod of "+app+" is gated any more", func(ctx context.Context) string {
		gated, err := gatedPods(ctx, app)
		if err != nil {
			return err.Error()
		}
		if gated > 0 {
			return fmt.Sprintf("%d are", gated)
		}
		return ""
	})
}

// healedOf returns how many of the pods were given another image, as the kubelet could not pull the one that they had.
func healedOf(pods []corev1.Pod) int {
	healed := 0
	for i := range pods {
		if pods[i].Annotations[config.HealedAnnotation] != "" {
			healed++
		}
	}
	return healed
}

// deletePods deletes the pods labelled app=name, and waits, also in a clean-up, until their nodes have none of them any more.
func deletePods(t *testing.T, app string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	pods, selected := suite.kube.CoreV1().Pods(namespace), metav1.ListOptions{LabelSelector: "app=" + app}
	// With no grace at all the API server would forget them before the kubelets have stopped them.
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
			return fmt.Sprintf("%d pods are still there", len(list.Items))
		}
		return ""
	})
	if left != "" {
		t.Errorf("deleting the pods of %s: %s", app, left)
	}
}
