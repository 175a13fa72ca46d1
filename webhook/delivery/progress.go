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
	// firstProgress is how long pushes run before their pod shows progress. Most pushes have ended by then.
	firstProgress = 2 * time.Second
	// nextProgress is the time between two updates of the progress. It is long because hundreds of pods may be waiting.
	nextProgress = 5 * time.Second
	// maxError limits how many characters of an error the progress annotation contains.
	maxError = 200
)

// progress tracks the pushes for one pod. It is safe for concurrent use.
type progress struct {
	mu      sync.Mutex
	byImage map[string]webhook.Progress
}

// report records the progress of one push. If an image is pushed a second time, the first push's progress is kept until the
// second push has copied some bytes.
func (p *progress) report(image string, now webhook.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Done > 0 || p.byImage[image].Done == 0 {
		p.byImage[image] = now
	}
}

// all returns the total progress of all pushes.
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

// moved returns how much of an image was pushed, formatted as a suffix for an Event, such as ", 412 MB". It returns "" if no
// bytes were pushed.
func (p *progress) moved(image string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done := p.byImage[image].Done; done > 0 {
		return fmt.Sprintf(", %d MB", megabytes(done))
	}
	return ""
}

// show writes the progress to the pod repeatedly until stop is called. stop waits for a patch in flight, because that patch must
// not arrive after the patch that ungates the pod.
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
			// Until the sizes are known, an error from the last attempt is more useful than the progress.
			if now := pushes.all(); now.Total > 0 || pod.Annotations[config.ProgressAnnotation] == "" {
				r.showProgress(ctx, pod, progressText(now))
			}
		}
	})
	return func() { close(ended); showing.Wait() }
}

// showProgress writes a gated pod's progress annotation, which is removed when the pod is ungated. It also sets the annotation in
// pod, even if the patch fails, because the API server may still have applied the patch.
func (r *Reconciler) showProgress(ctx context.Context, pod *corev1.Pod, text string) {
	if !podimage.Gated(pod) || pod.Annotations[config.ProgressAnnotation] == text {
		return
	}
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, config.ProgressAnnotation, text)
	patch, err := json.Marshal(podimage.ShowProgress(pod, text))
	if err == nil {
		patched := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}} // receives the response
		err = r.Client.Patch(ctx, patched, client.RawPatch(types.JSONPatchType, patch))
	}
	if err != nil {
		log.FromContext(ctx).V(1).Info("progress not shown", "error", err.Error())
	}
}

// progressText describes the progress for the annotation.
func progressText(now webhook.Progress) string {
	if now.Total == 0 {
		return "waiting for other pushes"
	}
	return fmt.Sprintf("pushing %d of %d MB", megabytes(now.Done), megabytes(now.Total))
}

// retryText returns a line that says why pushes failed and that they will be retried.
func retryText(err error) string {
	return fmt.Sprintf("retrying: %.*s", maxError, strings.ReplaceAll(err.Error(), "\n", "; "))
}

// megabytes returns a size in decimal megabytes, rounded up.
func megabytes(bytes int64) int64 { return (bytes + 999_999) / 1_000_000 }
