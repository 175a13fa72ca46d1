package webhook

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/podimage"
)

// nameTimeout is how long a log line waits for the pod's generated name. Most pods are named within milliseconds; a pod that is
// refused after the webhook's call never gets a name.
const nameTimeout = 5 * time.Second

// Journal logs each decision in one line with the pod's name. The API server generates the names of a ReplicaSet's pods only
// after it has called the webhook, so the lines about such a pod wait until the pod exists. If the pod is never created, the
// lines contain its generateName instead.
type Journal struct {
	log logr.Logger

	mu      sync.Mutex
	waiting map[unnamed][]entry
	follows bool
}

// unnamed identifies a pod before and after its name is generated.
type unnamed struct {
	namespace, generateName string
	owner                   types.UID
	images                  string // the original images
}

// entry contains the decisions about one pod's images.
type entry struct {
	namespace, pod string
	outcomes       []Outcome
	until          time.Time
}

// NewJournal returns a journal that logs immediately until Follow is called.
func NewJournal(log logr.Logger) *Journal {
	return &Journal{log: log, waiting: map[unnamed][]entry{}}
}

// Follow makes lines wait for pods' names until ctx ends. While it runs, the caller must pass each new pod to Created.
func (j *Journal) Follow(ctx context.Context) {
	j.setFollows(true)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			j.setFollows(false)
			j.flush(time.Time{})
			return
		case now := <-tick.C:
			j.flush(now)
		}
	}
}

// Decided logs the decisions about a pod. Lines about a dry run never wait, because no pod is created.
func (j *Journal) Decided(s Subject, outcomes []Outcome, dryRun bool) {
	decided := entry{namespace: s.Namespace, pod: displayName(s.Pod.Pod), outcomes: outcomes}
	key := unnamedOf(s.Namespace, s.Pod)
	if s.Pod.Name != "" || dryRun || !j.wait(key, decided) {
		j.write(decided)
	}
}

// Created logs the lines that are waiting for this new pod.
func (j *Journal) Created(pod *podimage.Pod) {
	if pod.GenerateName == "" {
		return
	}
	key := unnamedOf(pod.Namespace, pod)
	j.mu.Lock()
	entries := j.waiting[key]
	if len(entries) > 1 {
		j.waiting[key] = entries[1:]
	} else {
		delete(j.waiting, key)
	}
	j.mu.Unlock()
	if len(entries) > 0 {
		decided := entries[0] // the order does not matter: equal pods created together have equal decisions
		decided.pod = pod.Name
		j.write(decided)
	}
}

// wait stores the entry until the pod has a name. It returns false, and stores nothing, if Follow is not running.
func (j *Journal) wait(key unnamed, decided entry) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.follows {
		decided.until = time.Now().Add(nameTimeout)
		j.waiting[key] = append(j.waiting[key], decided)
	}
	return j.follows
}

func (j *Journal) setFollows(follows bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.follows = follows
}

// flush logs the entries whose waiting time ended before now. If now is zero, it logs all entries.
func (j *Journal) flush(now time.Time) {
	j.mu.Lock()
	var due []entry
	for key, entries := range j.waiting {
		for len(entries) > 0 && (now.IsZero() || now.After(entries[0].until)) {
			due, entries = append(due, entries[0]), entries[1:]
		}
		j.waiting[key] = entries
		if len(entries) == 0 {
			delete(j.waiting, key)
		}
	}
	j.mu.Unlock()
	for _, decided := range due {
		j.write(decided)
	}
}

// write logs a line for each field. The line contains the reason why the image was rewritten or left unchanged.
func (j *Journal) write(decided entry) {
	log := j.log.WithValues("namespace", decided.namespace, "pod", decided.pod)
	for _, o := range decided.outcomes {
		log.Info("image decided", append([]any{"field", o.Field.Path}, decisionValues(o.Decision)...)...)
	}
}

// decisionValues returns the decision as key-value pairs for a log line.
func decisionValues(d rewrite.Decision) []any {
	values := []any{"image", d.Image, "reason", d.Reason}
	if d.Changed() {
		values = append(values, "rewritten", d.Rewritten)
	}
	if d.Digest != "" {
		values = append(values, "digest", d.Digest)
	}
	if d.Detail != "" {
		values = append(values, "error", d.Detail)
	}
	return values
}

// displayName returns the pod's name, or its generateName if it has no name yet.
func displayName(pod *corev1.Pod) string {
	if pod.Name != "" {
		return pod.Name
	}
	return pod.GenerateName
}

// unnamedOf returns a key that identifies the pod without its name.
func unnamedOf(namespace string, pod *podimage.Pod) unnamed {
	key := unnamed{namespace: namespace, generateName: pod.GenerateName}
	if owner := metav1.GetControllerOf(pod.Pod); owner != nil {
		key.owner = owner.UID
	}
	var images []string
	for _, field := range podimage.Fields(pod.Pod) {
		images = append(images, pod.Original(field))
	}
	key.images = strings.Join(images, " ")
	return key
}
