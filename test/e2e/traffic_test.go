//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kind-local-registry/config"
)

// traffic creates dry-run pods with one image at a steady rate. Each of the pods must be rewritten.
type traffic struct {
	kube        kubernetes.Interface
	image, want string
	start       time.Time
	failedOpen  float64 // value of failOpenCount at the start
	stop        func()  // stops sending and waits for pending calls

	mu     sync.Mutex
	took   []time.Duration // latency of each call
	faults []string        // failed calls, with the time since start
}

// startTraffic creates perSecond pods per second until end is called. Their image is new and present in the registry.
func startTraffic(t *testing.T, name string, perSecond int) *traffic {
	t.Helper()
	image, want := pushedImage(t, name)
	access := rest.CopyConfig(suite.access)
	access.QPS = -1 // no limit
	kube, err := kubernetes.NewForConfig(access)
	if err != nil {
		t.Fatal(err)
	}
	started := &traffic{kube: kube, image: image, want: want, failedOpen: failOpenCount(t), start: time.Now()}
	ctx, cancel := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	sending.Go(func() { started.send(ctx, time.Second/time.Duration(perSecond)) })
	started.stop = func() {
		cancel()
		sending.Wait()
	}
	t.Cleanup(started.stop)
	return started
}

// send makes one call per interval until ctx is done, and then waits for pending calls.
func (s *traffic) send(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			calls.Go(func() { s.call(context.WithoutCancel(ctx)) })
		}
	}
}

func (s *traffic) call(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	start := time.Now()
	got, err := dryRun(ctx, s.kube, s.image)
	took := time.Since(start)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, took)
	at := start.Sub(s.start).Round(time.Millisecond)
	switch {
	case err != nil:
		s.faults = append(s.faults, fmt.Sprintf("after %s: %v", at, err))
	case got != s.want:
		s.faults = append(s.faults, fmt.Sprintf("after %s: image = %s, want %s", at, got, s.want))
	}
}

// await waits until the given number of calls have been answered.
func (s *traffic) await(t *testing.T, calls int) {
	t.Helper()
	eventually(t, 2*time.Minute, fmt.Sprintf("%d calls", calls), func(context.Context) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.took) < calls {
			return fmt.Sprintf("only %d", len(s.took))
		}
		return ""
	})
}

// end stops the traffic and returns its figures. It fails the test if a call failed, a pod was not rewritten, or the API server
// counted a call as failed open.
func (s *traffic) end(t *testing.T) string {
	t.Helper()
	s.stop()
	lasted := time.Since(s.start)
	if len(s.took) == 0 {
		t.Fatal("no call was made")
	}
	if len(s.faults) > 0 {
		t.Errorf("%d of %d pods were not created or not rewritten, first and last:\n%s\n%s",
			len(s.faults), len(s.took), s.faults[0], s.faults[len(s.faults)-1])
	}
	if grown := failOpenCount(t) - s.failedOpen; grown != 0 {
		t.Errorf("the API server failed open %v times, want 0", grown)
	}
	slices.Sort(s.took)
	return fmt.Sprintf("%d pods in %d s, %.0f per second, %d not created or not rewritten; p99 %d ms",
		len(s.took), int(lasted.Seconds()), float64(len(s.took))/lasted.Seconds(), len(s.faults), s.took[len(s.took)*99/100].Milliseconds())
}

// pushedImage builds and pushes an image. It returns the original and the rewritten reference.
func pushedImage(t *testing.T, name string) (image, rewritten string) {
	t.Helper()
	image = buildImage(t, "e2e/"+name+":local", name)
	return image, mustPush(t, image)[0].Rewritten
}

// dryRun creates a dry-run pod with the image and returns the image that the pod would run.
func dryRun(ctx context.Context, kube kubernetes.Interface, image string) (string, error) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "dry-run-"}, Spec: podSpec(image)}
	made, err := kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "", err
	}
	return made.Spec.Containers[0].Image, nil
}

// failOpenCount returns how many times the API server could not call our webhook and therefore created a pod with its original
// images.
func failOpenCount(t *testing.T) float64 {
	t.Helper()
	page, err := suite.kube.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatalf("reading the API server's metrics: %v", err)
	}
	if !strings.Contains(string(page), "apiserver_admission_webhook_request_total") {
		t.Fatal("the API server's metrics do not count webhook calls")
	}
	return sample(t, page, `apiserver_admission_webhook_fail_open_count\{name="`+regexp.QuoteMeta(config.WebhookName)+`",[^}]*\}`)
}

// sample returns the sum of the samples in a metrics page that match the expression, or 0 if no sample matches.
func sample(t *testing.T, page []byte, expression string) float64 {
	t.Helper()
	var sum float64
	for _, match := range regexp.MustCompile(`(?m)^`+expression+` (\S+)$`).FindAllSubmatch(page, -1) {
		value, err := strconv.ParseFloat(string(match[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += value
	}
	return sum
}
