package livepod

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
)

// ErrNotInstalled means that the cluster has no Deployment of the webhook, so no pod is rewritten.
var ErrNotInstalled = errors.New("the webhook is not installed")

const (
	// decided is the message of the webhook's log line about a decision.
	decided = "image decided"
	// maxLogLine is the longest line of the log, in bytes, that is read. A line about a decision has a few references.
	maxLogLine = 1 << 20
	// clockSlack is how much earlier than the pod's creation a line about the pod can be. The creation has only whole seconds, and
	// the webhook decides before the API server stores the pod.
	clockSlack = webhook.Budget + time.Second
)

// Admission is what the webhook decided about an image field when the pod was created, or when the field was last updated.
type Admission struct {
	Time   time.Time
	Reason rewrite.Reason
	Detail string
	// Replica is the webhook's pod that decided.
	Replica string
}

// Replica is a pod of the webhook whose log was read.
type Replica struct {
	Pod string
	// Since is when the log begins.
	Since time.Time
	// Err tells why the log, or a part of it, could not be read.
	Err error
}

// place identifies an image field of a pod in the log.
type place struct{ namespace, pod, field string }

// journal contains the newest decision about each place.
type journal struct {
	mu        sync.Mutex
	decisions map[place]Admission
	replicas  []Replica
}

// line is a line of the webhook's log.
type line struct {
	Time      time.Time      `json:"time"`
	Message   string         `json:"msg"`
	Namespace string         `json:"namespace"`
	Pod       string         `json:"pod"`
	Field     string         `json:"field"`
	Reason    rewrite.Reason `json:"reason"`
	Error     string         `json:"error"`
}

// journal reads the logs of all replicas from shortly before since. The error is ErrNotInstalled if the webhook is not installed.
func (c *Cluster) journal(ctx context.Context, since time.Time) (*journal, error) {
	selector := labels.Set{"app.kubernetes.io/name": config.Name}.String()
	pods, err := c.kube.CoreV1().Pods(config.Name).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing the webhook's pods: %w", err)
	}
	if _, err := c.kube.AppsV1().Deployments(config.Name).Get(ctx, config.Name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return nil, ErrNotInstalled
	}
	read := &journal{decisions: map[place]Admission{}, replicas: make([]Replica, len(pods.Items))}
	var group errgroup.Group
	for i := range pods.Items {
		group.Go(func() error {
			read.replicas[i] = c.readReplica(ctx, &pods.Items[i], since.Add(-clockSlack), read)
			return nil
		})
	}
	_ = group.Wait() // each replica has its own error
	return read, nil
}

// readReplica reads the log of a replica, and before it the log of its container's previous instance if there was one.
func (c *Cluster) readReplica(ctx context.Context, pod *corev1.Pod, since time.Time, into *journal) Replica {
	replica := Replica{Pod: pod.Name}
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if running := status.State.Running; running != nil {
			replica.Since = running.StartedAt.Time
		}
		if before := status.LastTerminationState.Terminated; before != nil {
			replica.Since = before.StartedAt.Time
			replica.Err = errors.Join(replica.Err, c.readLog(ctx, pod, corev1.PodLogOptions{Previous: true}, since, into))
		}
	}
	replica.Err = errors.Join(replica.Err, c.readLog(ctx, pod, corev1.PodLogOptions{}, since, into))
	return replica
}

// readLog reads one log from the API server.
func (c *Cluster) readLog(ctx context.Context, pod *corev1.Pod, options corev1.PodLogOptions, since time.Time, into *journal) error {
	options.SinceTime = &metav1.Time{Time: since}
	stream, err := c.kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &options).Stream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	return into.read(stream, pod.Name)
}

// read adds the decisions in a replica's log. It keeps the newest decision about each place.
func (j *journal) read(log io.Reader, replica string) error {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLogLine)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(decided)) {
			continue
		}
		var one line
		if json.Unmarshal(lines.Bytes(), &one) != nil || one.Message != decided {
			continue // such as the first line, of which the kubelet may return only the end
		}
		j.add(one, replica)
	}
	return lines.Err()
}

// add adds a decision unless a newer one about its place is known.
func (j *journal) add(one line, replica string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	at := place{one.Namespace, one.Pod, one.Field}
	if known, found := j.decisions[at]; found && known.Time.After(one.Time) {
		return
	}
	j.decisions[at] = Admission{Time: one.Time, Reason: one.Reason, Detail: one.Error, Replica: replica}
}
