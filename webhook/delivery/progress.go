package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kind-local-registry/config"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

const (
	// firstProgress is how long pushes take before their pod shows how far they are: most have ended by then.
	firstProgress = 2 * time.Second
	// nextProgress is how long it is from one time to the next, as hundreds of pods may wait.
	nextProgress = 5 * time.Second
	// mostError is how many characters of an error a pod shows.
	mostError = 200
)

// progress is how far the pushes of a pod's images are. It may be used by several goroutines at once.
type progress struct {
	mu      sync.Mutex
	byImage map[string]webhook.Progress
}

// report notes how far the push of an image is. A push that begins anew, to see whether there is more to do, counts once it
// moves anything.
func (p *progress) report(image string, now webhook.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Done > 0 || p.byImage[image].Done == 0 {
		p.byImage[image] = now
	}
}

// all returns how far the pushes are, taken together.
func (p *progress) all() webhook.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum webhook.Progress
	for _, one := range p.byImage {
		sum.Done += one.Done
		sum.Total += one.Total
	}
	return sum
}

// moved returns, for an Event, how much of an image was moved, as in ", 412 MB", or "" where that was nothing or is not known.
func (p *progress) moved(image string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done := p.byImage[image].Done; done > 0 {
		return fmt.Sprintf(", %d MB", megabytes(done))
	}
	return ""
}

// show keeps telling the pod how far its pushes are, until stop is called. stop waits for a patch under way: it must not
// come after the one that lets the pod go.
func (r *Reconciler) show(ctx context.Context, pod *corev1.Pod, pushes *progress) (stop func()) {
	ended := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		for wait := firstProgress; ; wait = nextProgress {
			select {
			case <-ended:
				return
			case <-time.After(wait):
			}
			// While nothing is known, why the last try failed is worth more.
			if now := pushes.all(); now.Total > 0 || pod.Annotations[config.ProgressAnnotation] == "" {
				r.tell(ctx, pod, progressText(now))
			}
		}
	})
	return func() { close(ended); showing.Wait() }
}

// tell writes the text into the progress annotation of a gated pod, and of no other: the patch that lifts the gate takes it
// away. The pod is taken to have it from then on, whatever comes of the patch, which may fail: it is of no use but to
// people.
func (r *Reconciler) tell(ctx context.Context, pod *corev1.Pod, text string) {
	if !podimage.Gated(pod) || pod.Annotations[config.ProgressAnnotation] == text {
		return
	}
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, config.ProgressAnnotation, text)
	patch, err := json.Marshal(podimage.ShowProgress(pod, text))
	if err == nil {
		patched := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}} // takes the answer
		err = r.Client.Patch(ctx, patched, client.RawPatch(types.JSONPatchType, patch))
	}
	if err != nil {
		log.FromContext(ctx).V(1).Info("progress not shown", "error", err.Error())
	}
}

// progressText says how far the pushes are.
func progressText(now webhook.Progress) string {
	if now.Total == 0 {
		return "waiting for other pushes"
	}
	return fmt.Sprintf("pushing %d of %d MB", megabytes(now.Done), megabytes(now.Total))
}

// retryText says, on one line, why pushes failed that are tried again.
func retryText(err error) string {
	return fmt.Sprintf("trying again: %.*s", mostError, strings.ReplaceAll(err.Error(), "\n", "; "))
}

// megabytes returns a size in decimal megabytes, of which one that is begun counts.
func megabytes(bytes int64) int64 { return (bytes + 999_999) / 1_000_000 }
