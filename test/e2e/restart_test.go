//go:build e2e

package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// backWithin is how long nodes that are started may take until they are Ready and pods are rewritten, with no hand step.
const backWithin = 2 * time.Minute

func TestNodes_StoppedAndStartedRewriteAgain(t *testing.T) {
	image, want := pushedImage(t, "nodes-restarted")
	nodes := nodeNames(t)
	slices.Sort(nodes)
	var took []time.Duration
	for range count(1, 10) {
		docker(t, append([]string{"stop", "-t", "10"}, nodes...)...)
		start := time.Now()
		docker(t, append([]string{"start"}, nodes...)...)
		took = append(took, awaitBack(t, start, image, want))
		t.Logf("stopped and started, the nodes were Ready and pods rewritten after %s", took[len(took)-1])
	}
	t.Logf("%d stops and starts of all nodes: %s at most until all was back", len(took), slices.Max(took))
}

// awaitBack waits until every node is Ready and pods of the image are rewritten, and returns how long that was since the
// given moment. What the API server knew of a node before it does not count.
func awaitBack(t *testing.T, since time.Time, image, want string) time.Duration {
	t.Helper()
	eventually(t, backWithin-time.Since(since), "the nodes are Ready and pods are rewritten", func(ctx context.Context) string {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // a connection from before may hang
		defer cancel()
		if problem := nodesBack(ctx, since); problem != "" {
			return problem
		}
		return notRewritten(ctx, image, want)
	})
	return time.Since(since).Round(100 * time.Millisecond)
}

// nodesBack returns "" where both nodes are Ready and have renewed their leases since the given moment.
func nodesBack(ctx context.Context, since time.Time) string {
	list, err := suite.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	if len(list.Items) != 2 {
		return "not two nodes"
	}
	for _, node := range list.Items {
		ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
		lease, err := suite.kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node.Name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if !ready || lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Before(&metav1.MicroTime{Time: since}) {
			return node.Name + " is not Ready yet"
		}
	}
	return ""
}

// notRewritten returns "" where a pod of the image that is created now would run want.
func notRewritten(ctx context.Context, image, want string) string {
	got, err := admit(ctx, suite.kube, image)
	if err != nil {
		return err.Error()
	}
	if got != want {
		return "a pod has " + got
	}
	return ""
}
