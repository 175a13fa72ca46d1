package rules

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// Rules are the rules of one document (docs/rules.md). The zero Rules exclude nothing.
type Rules struct {
	// Images selects images by the normalised reference, such as docker.io/library/nginx:1.27.
	Images Selection `json:"images,omitzero"`
	// Namespaces selects namespaces by name.
	Namespaces Selection `json:"namespaces,omitzero"`
	// Pods excludes pods by label.
	Pods PodRules `json:"pods"`
	// AlwaysPull is the meaning of imagePullPolicy: Always for an image that the daemon pulled rather than built.
	AlwaysPull AlwaysPull `json:"alwaysPull,omitempty"`
	// LoopGuard limits how often a pod is recreated because of its rewritten image.
	LoopGuard LoopGuard `json:"loopGuard"`
	// PrePush makes the pusher push an image that the registry serves as soon as it is rebuilt, before a pod needs it.
	PrePush bool `json:"prePush"`
}

// Selection selects what matches a pattern of Include and none of Exclude. An empty Include matches everything.
type Selection struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// PodRules exclude pods.
type PodRules struct {
	// Exclude are label selectors (k8s.io/apimachinery/pkg/labels). A pod that matches one of them is excluded.
	Exclude []string `json:"exclude"`

	selectors map[string]labels.Selector // parsed selectors of Exclude; a missing one is parsed each time
}

// Equal reports whether both have the same selectors.
func (p PodRules) Equal(other PodRules) bool { return slices.Equal(p.Exclude, other.Exclude) }

// AlwaysPull is the meaning of imagePullPolicy: Always for an image that the daemon pulled.
type AlwaysPull string

// The values of AlwaysPull.
const (
	// AlwaysPullUpstream makes the kubelet pull the original image.
	AlwaysPullUpstream AlwaysPull = "Upstream"
	// AlwaysPullHost uses the host's image as the newest one.
	AlwaysPullHost AlwaysPull = "Host"
)

// LoopGuard is how many recreations of a pod, within which time, are a loop: a controller that compares images deletes a pod
// whose image differs from the one it set, and recreates it.
type LoopGuard struct {
	// Recreations is the number of recreations; 0 turns the guard off.
	Recreations int `json:"recreations"`
	// Within is the time within which they are counted.
	Within metav1.Duration `json:"within"`
}

// Default returns the default rules. They exclude the pods of operators that compare images and would recreate a rewritten
// pod again and again: CloudNativePG and Zalando's postgres-operator.
func Default() Rules {
	return Rules{
		Pods:       podRules("cnpg.io/podRole", "application=spilo"),
		AlwaysPull: AlwaysPullUpstream,
		LoopGuard:  LoopGuard{Recreations: 5, Within: metav1.Duration{Duration: 5 * time.Minute}},
		PrePush:    true,
	}
}

// String returns the rules as YAML. Parse of it returns the same rules.
func (r Rules) String() string {
	if r.Pods.Exclude == nil {
		r.Pods.Exclude = []string{} // null would mean the default
	}
	document, err := yaml.Marshal(r)
	if err != nil { // impossible: strings and numbers only
		panic(fmt.Sprintf("encoding rules: %v", err))
	}
	return string(document)
}

// ExcludesImage returns the rule that excludes an image, for people, such as images.exclude "quay.io/**" or
// not in images.include; "" if there is none. name is a normalised reference, such as docker.io/library/nginx:1.27.
func (r Rules) ExcludesImage(name string) string {
	image := splitImage(name)
	return r.Images.excludes("images", func(pattern string) bool { return splitImage(pattern).matches(image) })
}

// ExcludesNamespace returns the rule that excludes a namespace, as ExcludesImage does.
func (r Rules) ExcludesNamespace(name string) string {
	return r.Namespaces.excludes("namespaces", func(pattern string) bool { return matches(pattern, name) })
}

// ExcludesPod returns the rule that excludes a pod with these labels, as ExcludesImage does.
func (r Rules) ExcludesPod(podLabels map[string]string) string {
	for _, selector := range r.Pods.Exclude {
		if r.Pods.selects(selector, podLabels) {
			return fmt.Sprintf("pods.exclude %q", selector)
		}
	}
	return ""
}

// excludes returns the rule that excludes the subject of matches, or "". key is the selection's key in the document.
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
