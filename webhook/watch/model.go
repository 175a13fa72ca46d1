package watch

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

// model is what a State is made of. It is not safe for concurrent use.
type model struct {
	registryHost    string
	pusher, cluster Connection
	images          map[string]Image      // by canonical name
	hosts           map[string]*hostImage // by canonical name
	pods            map[types.UID]*corev1.Pod
	entries         map[types.UID][]Pod
}

// newModel returns a model that knows nothing yet.
func newModel(registryHost string) *model {
	return &model{
		registryHost: registryHost, images: map[string]Image{}, hosts: map[string]*hostImage{},
		pods: map[types.UID]*corev1.Pod{}, entries: map[types.UID][]Pod{},
	}
}

// happened records an event of the pusher.
func (m *model) happened(event pusher.Event) {
	name := canonical(event.Name, m.registryHost)
	m.images[name] = Image{Name: name, Event: event}
	m.host(name).happened(event)
	m.host(name).asked = m.host(name).asked && event.Kind == pusher.EventPushing
}

// reconnected records that the pusher's events are received again. Events were missed, so all images must be looked up.
func (m *model) reconnected() {
	m.pusher = Connection{Connected: true}
	for _, host := range m.hosts {
		host.asked = false
	}
	maps.DeleteFunc(m.images, func(_ string, image Image) bool { return image.pushing() != nil })
}

// lookedUp records the result of a lookup.
func (m *model) lookedUp(name string, found rewrite.Presence) { m.host(name).lookedUp(found) }

// host returns what is known about the host's image.
func (m *model) host(name string) *hostImage {
	if m.hosts[name] == nil {
		m.hosts[name] = &hostImage{}
	}
	return m.hosts[name]
}

// listed replaces all pods.
func (m *model) listed(pods []corev1.Pod) {
	clear(m.pods)
	clear(m.entries)
	for i := range pods {
		m.changed(&pods[i])
	}
}

// changed records a pod that is new or has changed.
func (m *model) changed(pod *corev1.Pod) {
	m.pods[pod.UID], m.entries[pod.UID] = pod, entries(pod, m.registryHost)
}

// deleted forgets a pod.
func (m *model) deleted(pod *corev1.Pod) {
	delete(m.pods, pod.UID)
	delete(m.entries, pod.UID)
}

// due returns the images that must be looked up, by canonical name, and records that they are. They are the pods' original images, as
// their authors wrote them.
func (m *model) due() map[string]string {
	names := map[string]string{}
	for _, pods := range m.entries {
		for _, pod := range pods {
			name := canonical(pod.Image, m.registryHost)
			if host := m.host(name); !host.asked {
				names[name], host.asked = pod.Image, true
			}
		}
	}
	return names
}

// state returns the current state.
func (m *model) state() State {
	byName := func(a, b Image) int { return cmp.Compare(a.Name, b.Name) }
	state := State{Pusher: m.pusher, Cluster: m.cluster, Images: slices.SortedFunc(maps.Values(m.images), byName)}
	newest := m.newestRevisions()
	for uid, pods := range m.entries {
		rolling := m.rolling(m.pods[uid], newest)
		for _, pod := range pods {
			name := canonical(pod.Image, m.registryHost)
			pod.refine(m.images[name], m.hosts[name])
			pod.Rollout = rolling
			state.Pods = append(state.Pods, pod)
		}
	}
	slices.SortFunc(state.Pods, func(a, b Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Image, b.Image),
			a.Created.Compare(b.Created))
	})
	return state
}

// rollout is what is known about the pods of one owner.
type rollout struct {
	hash    string // of the newest pod's template
	created int64  // when the newest pod was created
	mixed   bool   // whether the pods have different templates
}

// newestRevisions returns the rollouts by owner.
func (m *model) newestRevisions() map[string]rollout {
	found := map[string]rollout{}
	for _, pod := range m.pods {
		of, ok := revisionOf(pod)
		if !ok {
			continue
		}
		known, seen := found[of.owner]
		known.mixed = known.mixed || seen && known.hash != of.hash
		if created := pod.CreationTimestamp.UnixNano(); !seen || created > known.created {
			known.hash, known.created = of.hash, created
		}
		found[of.owner] = known
	}
	return found
}

// rolling reports whether the pod starts in place of a pod with another template, or stops for one.
func (m *model) rolling(pod *corev1.Pod, newest map[string]rollout) bool {
	of, ok := revisionOf(pod)
	if !ok || !newest[of.owner].mixed {
		return false
	}
	isNew := newest[of.owner].hash == of.hash
	return isNew && !isReady(pod) || !isNew && pod.DeletionTimestamp != nil
}

// isReady reports whether the pod is ready.
func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
