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

// nameTime is how long the log waits for the name of a pod that was given none: most are there in milliseconds, and some
// never come, as somebody else refuses them.
const nameTime = 5 * time.Second

// Journal logs decisions, in one line each, under the name by which a person will look for them. The API server makes up
// the names of a ReplicaSet's pods after it has asked the webhook; so the lines about such a pod wait until the pod is
// seen, and name what its name begins with where it is not.
type Journal struct {
	log logr.Logger

	mu      sync.Mutex
	waiting map[unnamed][]entry
	follows bool
}

// unnamed is what is known, before and after, of a pod whose name is yet to be made up.
type unnamed struct {
	namespace, generateName string
	owner                   types.UID
	images                  string // as they were written
}

// entry is what was decided about one pod.
type entry struct {
	namespace, pod string
	outcomes       []Outcome
	until          time.Time
}

// NewJournal returns a journal that logs at once, as long as nobody calls Follow.
func NewJournal(log logr.Logger) *Journal {
	return &Journal{log: log, waiting: map[unnamed][]entry{}}
}

// Follow lets lines wait for the names of pods, which Created must tell from then on, until ctx ends.
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

// Decided notes what was decided about a pod. The lines about a dry run never wait: no pod comes of it.
func (j *Journal) Decided(s Subject, outcomes []Outcome, dryRun bool) {
	decided := entry{namespace: s.Namespace, pod: displayName(s.Pod.Pod), outcomes: outcomes}
	key := unnamedOf(s.Namespace, s.Pod)
	if s.Pod.Name != "" || dryRun || !j.wait(key, decided) {
		j.write(decided)
	}
}

// Created tells of a pod that the API server has created.
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
		decided := entries[0] // any of them: what was decided about like pods at the same time is alike
		decided.pod = pod.Name
		j.write(decided)
	}
}

// wait keeps the entry for a while, if anybody follows.
func (j *Journal) wait(key unnamed, decided entry) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.follows {
		decided.until = time.Now().Add(nameTime)
		j.waiting[key] = append(j.waiting[key], decided)
	}
	return j.follows
}

func (j *Journal) setFollows(follows bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.follows = follows
}

// flush logs what has waited too long at a time, or everything at the zero time.
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

// write logs a line a field, which answers why its image was rewritten or not.
func (j *Journal) write(decided entry) {
	log := j.log.WithValues("namespace", decided.namespace, "pod", decided.pod)
	for _, o := range decided.outcomes {
		log.Info("image decided", append([]any{"field", o.Field.Path}, decisionValues(o.Decision)...)...)
	}
}

// decisionValues returns a decision as a log line has it.
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

// displayName returns the pod's name, or what its name will begin with.
func displayName(pod *corev1.Pod) string {
	if pod.Name != "" {
		return pod.Name
	}
	return pod.GenerateName
}

// unnamedOf returns what is known of the pod without its name.
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
