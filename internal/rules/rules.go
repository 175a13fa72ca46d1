package rules

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// Rules contains the rules in one document (docs/rules.md). The zero value excludes nothing.
type Rules struct {
	// Images selects images by their normalised references, such as docker.io/library/nginx:1.27.
	Images Selection `json:"images,omitzero"`
	// Namespaces selects namespaces by name.
	Namespaces Selection `json:"namespaces,omitzero"`
	// Pods excludes pods by label.
	Pods PodRules `json:"pods"`
	// AlwaysPull decides what imagePullPolicy: Always means for an image that the daemon pulled rather than built.
	AlwaysPull AlwaysPull `json:"alwaysPull,omitempty"`
	// LoopGuard limits how often a controller recreates a pod because of its rewritten image.
	LoopGuard LoopGuard `json:"loopGuard"`
	// PrePush makes the pusher push an image as soon as it is rebuilt, before a pod needs it, if the registry already has an image
	// with that name.
	PrePush bool `json:"prePush"`
	// RestartOnRebuild excludes workloads from restarts on rebuild.
	RestartOnRebuild RestartRules `json:"restartOnRebuild,omitzero"`
}

// RestartRules selects what restart on rebuild applies to. Their patterns are like those of Rules.Images and Rules.Namespaces.
type RestartRules struct {
	// Images selects the images whose rebuilds restart workloads.
	Images Selection `json:"images,omitzero"`
	// Namespaces selects the namespaces whose workloads are restarted.
	Namespaces Selection `json:"namespaces,omitzero"`
}

// Selection selects everything that matches at least one pattern in Include and no pattern in Exclude. An empty Include matches
// everything.
type Selection struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// PodRules excludes pods.
type PodRules struct {
	// Exclude lists label selectors (k8s.io/apimachinery/pkg/labels). A pod that matches any of them is excluded.
	Exclude []string `json:"exclude"`

	selectors map[string]labels.Selector // the selectors in Exclude, parsed; a selector that is missing here is parsed on each use
}

// Equal reports whether p and other contain the same selectors.
func (p PodRules) Equal(other PodRules) bool { return slices.Equal(p.Exclude, other.Exclude) }

// AlwaysPull decides what imagePullPolicy: Always means for an image that the daemon pulled.
type AlwaysPull string

// The values of AlwaysPull.
const (
	// AlwaysPullUpstream makes the kubelet pull the original image.
	AlwaysPullUpstream AlwaysPull = "Upstream"
	// AlwaysPullHost treats the host's image as the newest one.
	AlwaysPullHost AlwaysPull = "Host"
)

// LoopGuard defines when recreating a pod counts as a loop. A loop is caused by a controller that compares images: it deletes a
// pod whose image differs from the one that the controller set, and recreates the pod.
type LoopGuard struct {
	// Recreations is how many recreations count as a loop; 0 turns the loop guard off.
	Recreations int `json:"recreations"`
	// Within is the time within which those recreations must happen.
	Within metav1.Duration `json:"within"`
}

// Default returns the default rules. They exclude the pods of CloudNativePG and of Zalando's postgres-operator. These operators
// compare images and would recreate a rewritten pod again and again.
func Default() Rules {
	return Rules{
		Pods:       podRules("cnpg.io/podRole", "application=spilo"),
		AlwaysPull: AlwaysPullUpstream,
		LoopGuard:  LoopGuard{Recreations: 5, Within: metav1.Duration{Duration: 5 * time.Minute}},
		PrePush:    true,
	}
}

// String returns the rules as YAML. Parse turns that YAML into the same rules again.
func (r Rules) String() string {
	if r.Pods.Exclude == nil {
		r.Pods.Exclude = []string{} // null would mean the default
	}
	document, err := yaml.Marshal(r)
	if err != nil { // impossible: the rules contain only strings, numbers and booleans
		panic(fmt.Sprintf("encoding rules: %v", err))
	}
	return string(document)
}

// ExcludesImage describes, for people, the rule that excludes an image: for example, images.exclude "quay.io/**" or not in
// images.include. It returns "" if no rule excludes the image. name is a normalised reference, such as
// docker.io/library/nginx:1.27.
func (r Rules) ExcludesImage(name string) string { return r.Images.excludesImage("images", name) }

// ExcludesNamespace describes the rule that excludes a namespace, in the same way as ExcludesImage.
func (r Rules) ExcludesNamespace(name string) string {
	return r.Namespaces.excludes("namespaces", func(pattern string) bool { return matches(pattern, name) })
}

// ExcludesRestart describes the rule that excludes the workloads of a namespace from restarts on a rebuild of an image, in the same
// way as ExcludesImage.
func (r Rules) ExcludesRestart(namespace, image string) string {
	const key = "restartOnRebuild."
	rule := r.RestartOnRebuild.Namespaces.excludes(key+"namespaces", func(pattern string) bool { return matches(pattern, namespace) })
	return cmp.Or(rule, r.RestartOnRebuild.Images.excludesImage(key+"images", image))
}

// ExcludesPod describes the rule that excludes a pod with these labels, in the same way as ExcludesImage.
func (r Rules) ExcludesPod(podLabels map[string]string) string {
	for _, selector := range r.Pods.Exclude {
		if r.Pods.selects(selector, podLabels) {
			return fmt.Sprintf("pods.exclude %q", selector)
		}
	}
	return ""
}

// excludesImage describes the rule that excludes an image with a normalised reference; see excludes.
func (s Selection) excludesImage(key, name string) string {
	image := splitImage(name)
	return s.excludes(key, func(pattern string) bool { return splitImage(pattern).matches(image) })
}

// excludes describes the rule that excludes an image or a namespace, or returns "" if no rule excludes it. matches reports whether
// a pattern matches it. key is the selection's key in the document.
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
