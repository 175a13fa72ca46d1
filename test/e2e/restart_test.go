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

// recoveryTimeout limits the time from starting the nodes until they are Ready and pods are rewritten, without a manual step.
const recoveryTimeout = 2 * time.Minute

func TestNodes_RewriteAgainAfterAStopAndStart(t *testing.T) {
	image, want := pushedImage(t, "nodes-restarted")
	nodes := nodeNames(t)
	slices.Sort(nodes)
	var took []time.Duration
	for range count(1, 10) {
		docker(t, append([]string{"stop", "-t", "10"}, nodes...)...)
		start := time.Now()
		docker(t, append([]string{"start"}, nodes...)...)
		took = append(took, awaitRecovery(t, start, image, want))
		t.Logf("nodes Ready and pods rewritten %s after the start", took[len(took)-1])
	}
	t.Logf("%d stops and starts of all nodes: recovered within %s at most", len(took), slices.Max(took))
}

// awaitRecovery waits until every node is Ready and pods with the image are rewritten. It returns the time that has passed since
// the given moment. A Ready state that a node reported before that moment is ignored.
func awaitRecovery(t *testing.T, since time.Time, image, want string) time.Duration {
	t.Helper()
	eventually(t, recoveryTimeout-time.Since(since), "the nodes are Ready and pods are rewritten", func(ctx context.Context) string {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // a connection from before the restart may hang
		defer cancel()
		if problem := checkNodesBack(ctx, since); problem != "" {
			return problem
		}
		return checkRewritten(ctx, image, want)
	})
	return time.Since(since).Round(100 * time.Millisecond)
}

// checkNodesBack returns "" if both nodes are Ready and have renewed their Leases after the given moment.
func checkNodesBack(ctx context.Context, since time.Time) string {
	list, err := suite.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	if len(list.Items) != 2 {
		return "the cluster does not have two nodes"
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

// checkRewritten returns "" if a new pod with the image would run the image want.
func checkRewritten(ctx context.Context, image, want string) string {
	got, err := dryRun(ctx, suite.kube, image)
	if err != nil {
		return err.Error()
	}
	if got != want {
		return "image of a new pod: " + got
	}
	return ""
}
