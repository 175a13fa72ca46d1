//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/config"
	"kind-local-registry/internal/pusher"
)

// TestLink_BrokenPromiseIsWithdrawn changes a file below Docker's root between promise and push. A pod that has not pulled the
// image yet must run once the image is loaded again, with the files of the image.
func TestLink_BrokenPromiseIsWithdrawn(t *testing.T) {
	eachBroken(t, "link-broken", func(t *testing.T, d *linkDelivery) {
		t.Helper()
		withdrawn := withdrawals(t)
		spec := onNode(worker, d.image)
		spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "e2e/wait"}}
		d.created, _ = createPod(t, d.name, namespace, spec)
		d.spoil(t)
		if !pinned(d.created, d.image) {
			t.Fatalf("the new pod is %s, want it pinned", describe(d.created))
		}
		d.wantBroken(t, withdrawn)

		d.reload(t, "the pod runs with the files of its image", func() {
			pods, ungate := suite.kube.CoreV1().Pods(namespace), []byte(`[{"op":"remove","path":"/spec/schedulingGates"}]`)
			if _, err := pods.Patch(t.Context(), d.name, types.JSONPatchType, ungate, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// TestLink_BrokenLayersAreReplacedOnTheNode changes a file of a layer that the node links. The next pod must not get the node's
// linked layer, which shares the changed file.
func TestLink_BrokenLayersAreReplacedOnTheNode(t *testing.T) {
	eachBroken(t, "link-replaced", func(t *testing.T, d *linkDelivery) {
		t.Helper()
		withdrawn := withdrawals(t)
		d.created, _ = createPod(t, d.name, namespace, onNode(worker, d.image))
		d.spoil(t)
		awaitRunning(t, d.name, time.Minute)
		d.wantBroken(t, withdrawn)

		deletePod(t, d.name, namespace)
		eventually(t, time.Minute, "the pod's container is removed", func(ctx context.Context) string {
			list := exec.CommandContext(ctx, "docker", "exec", worker, "crictl", "ps", "-a", "-q", "--label", "io.kubernetes.pod.name="+d.name)
			left, err := list.CombinedOutput()
			if err != nil {
				return fmt.Sprintf("%v: %s", err, left)
			}
			return string(left)
		})
		d.reload(t, "the next pod runs with the files of its image", func() {
			createPod(t, d.name, namespace, onNode(worker, d.image))
		})
	})
}

// eachBroken runs the test with several deliveries, whose images are in Docker. In the end, nothing may be left of the images' layers.
func eachBroken(t *testing.T, name string, test func(t *testing.T, d *linkDelivery)) {
	t.Helper()
	needLinker(t)
	random := newRandom(t)
	var chains []string
	for round := range count(1, 10) {
		t.Run(strconv.Itoa(round+1), func(t *testing.T) {
			eventuallyRewrites(t)
			d := newLinkDelivery(t, fmt.Sprintf("%s-%d", name, round), random)
			chains = append(chains, d.chains...)
			d.load(t)
			t.Cleanup(func() { d.removeFromNodes(t) })
			test(t, d)
		})
	}
	wantNoRemnants(t, chains)
}

// reload loads the broken image again, and starts its pod. The pod must run with the files of its image, and the node must pull them.
func (d *linkDelivery) reload(t *testing.T, what string, start func()) {
	t.Helper()
	removeImage(t, d.image)
	d.load(t)
	begin := time.Now()
	start()
	eventually(t, faultTimeout, what, func(ctx context.Context) string { return d.check(ctx, t) })
	wantNotLinked(t, begin)
}

// wantBroken waits until the promise is withdrawn. The log, the metric and an Event about the pod must say so.
func (d *linkDelivery) wantBroken(t *testing.T, before float64) {
	t.Helper()
	_, digest, _ := strings.Cut(d.created.Spec.Containers[0].Image, "@")
	for _, reason := range []string{"LayersChanged", "PromiseWithdrawn"} {
		eventually(t, time.Minute, "the pod has an Event "+reason, func(ctx context.Context) string {
			events, err := suite.kube.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
			if err != nil {
				return err.Error()
			}
			for _, event := range events.Items {
				if event.Regarding.UID == d.created.UID && event.Type == corev1.EventTypeWarning && strings.Contains(event.Note, d.image) {
					return ""
				}
			}
			return fmt.Sprintf("%d Events, and none about the pod", len(events.Items))
		})
	}
	if got, want := withdrawals(t), before+1; got != want {
		t.Errorf("withdrawn promises = %v, want %v", got, want)
	}
	log, err := backgroundCommand("docker", "logs", "--since", d.created.CreationTimestamp.Format(time.RFC3339), config.PusherContainer)
	if err != nil || !strings.Contains(log, `"msg":"promise withdrawn`) || !strings.Contains(log, digest) {
		t.Errorf("the pusher's log does not have the withdrawn promise of %s (%v):\n%s", digest, err, log)
	}
}

// wantNotLinked fails the test if the linker has linked a layer since begin.
func wantNotLinked(t *testing.T, begin time.Time) {
	t.Helper()
	if log := linkerLog(t, begin); strings.Contains(log, "layers linked") || !strings.Contains(log, "not linked") {
		t.Errorf("the linker's log does not show that the broken layers are pulled:\n%s", log)
	}
}

// withdrawals returns the pusher's number of withdrawn promises.
func withdrawals(t *testing.T) float64 {
	t.Helper()
	address, security := pusherAccess(t)
	transport := &http.Transport{TLSClientConfig: security}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(response.Body)
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sample(t, page, "kind_local_registry_promises_withdrawn_total")
}

// pusherAccess returns the pusher's address on the kind network, and the TLS configuration of its clients.
func pusherAccess(t *testing.T) (address string, security *tls.Config) {
	t.Helper()
	secret, err := suite.kube.CoreV1().Secrets(ours).Get(t.Context(), config.PusherSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	security, err = pusher.ClientTLS(secret.Data["ca.crt"], secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	ip, _, _ := strings.Cut(addresses(t)[config.PusherContainer], "/")
	return net.JoinHostPort(ip, strconv.Itoa(config.PusherPort)), security
}
