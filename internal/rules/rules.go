package rules

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// Rules say which images, namespaces and pods are left alone (docs/rules.md). They are plain values: the zero Rules
// exclude nothing.
type Rules struct {
	// Images selects by the normalised reference, such as docker.io/library/nginx:1.27.
	Images Selection `json:"images,omitzero"`
	// Namespaces selects by the namespace's name.
	Namespaces Selection `json:"namespaces,omitzero"`
	// Pods says which pods are left alone.
	Pods PodRules `json:"pods"`
	// AlwaysPull is what imagePullPolicy: Always means for an image that the daemon pulled and did not build.
	AlwaysPull AlwaysPull `json:"alwaysPull,omitempty"`
	// LoopGuard ends a fight with an operator that recreates its pods for ever.
	LoopGuard LoopGuard `json:"loopGuard"`
	// PrePush says that the pusher pushes an image which the registry serves again as soon as it is rebuilt, and not only when
	// a pod wants it.
	PrePush bool `json:"prePush"`
}

// Selection takes what a pattern of Include matches and none of Exclude. An empty Include takes all.
type Selection struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// PodRules say which pods are left alone.
type PodRules struct {
	// Exclude are label selectors (k8s.io/apimachinery/pkg/labels); a pod that one of them matches is left alone.
	Exclude []string `json:"exclude"`

	selectors map[string]labels.Selector // of Exclude, parsed; a selector that is not here is parsed each time
}

// Equal says whether both leave alone the same pods.
func (p PodRules) Equal(other PodRules) bool { return slices.Equal(p.Exclude, other.Exclude) }

// AlwaysPull is a closed list.
type AlwaysPull string

// The values of AlwaysPull.
const (
	// AlwaysPullUpstream has the image pulled from where it names, as without us.
	AlwaysPullUpstream AlwaysPull = "Upstream"
	// AlwaysPullHost takes the host's image for the newest that there is.
	AlwaysPullHost AlwaysPull = "Host"
)

// LoopGuard says how many recreations of a pod, within what time, are a loop: a controller that compares images deletes the
// pod whose image it did not write, and makes it anew.
type LoopGuard struct {
	// Recreations is their number; 0 turns the guard off.
	Recreations int `json:"recreations"`
	// Within is the time in which they are counted.
	Within metav1.Duration `json:"within"`
}

// Default returns the rules that hold where nothing else is said. They leave alone the pods of operators that compare
// images and recreate pods for ever where one differs: CloudNativePG and Zalando's postgres-operator.
func Default() Rules {
	return Rules{
		Pods:       podRules("cnpg.io/podRole", "application=spilo"),
		AlwaysPull: AlwaysPullUpstream,
		LoopGuard:  LoopGuard{Recreations: 5, Within: metav1.Duration{Duration: 5 * time.Minute}},
		PrePush:    true,
	}
}

// String returns the rules as YAML, of which Parse makes the same rules.
func (r Rules) String() string {
	if r.Pods.Exclude == nil {
		r.Pods.Exclude = []string{} // null would stand for the default
	}
	document, err := yaml.Marshal(r)
	if err != nil { // texts and numbers
		panic(fmt.Sprintf("writing rules: %v", err))
	}
	return string(document)
}

// ExcludesImage returns the rule that leaves an image alone, in words for a person, such as images.exclude "quay.io/**" or
// not in images.include, or "" where there is none. The name is a normalised reference, such as
// docker.io/library/nginx:1.27.
func (r Rules) ExcludesImage(name string) string {
	image := splitImage(name)
	return r.Images.excludes("images", func(pattern string) bool { return splitImage(pattern).matches(image) })
}

// ExcludesNamespace returns the rule that leaves a namespace alone, as ExcludesImage does.
func (r Rules) ExcludesNamespace(name string) string {
	return r.Namespaces.excludes("namespaces", func(pattern string) bool { return matches(pattern, name) })
}

// ExcludesPod returns the rule that leaves a pod with those labels alone, as ExcludesImage does.
func (r Rules) ExcludesPod(podLabels map[string]string) string {
	for _, selector := range r.Pods.Exclude {
		if r.Pods.selects(selector, podLabels) {
			return fmt.Sprintf("pods.exclude %q", selector)
		}
	}
	return ""
}

// excludes returns the rule by which the selection does not take what matches is asked about.
func (s Selection) excludes(key string, matches func(pattern string) bool) string {
	for _, pattern := range s.Exclude {
		if matches(pattern) {
			return fmt.Sprintf("%s.exclude %q", key, pattern)
		}
	}
	for _, pattern := range s.Include {
		if matches(pattern) {
			return ""
		}
	}
	if len(s.Include) > 0 {
		return "not in " + key + ".include"
	}
	return ""
}
