package livepod

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Target names a pod, or an object whose pods are explained.
type Target struct {
	// Kind is the object's kind, such as Deployment.
	Kind string
	// Name is the object's name.
	Name string

	resource schema.GroupVersionResource
}

// kind is a kind of object that a Target can have.
type kind struct {
	name     string
	resource schema.GroupVersionResource
	short    string
}

// kinds lists the kinds that a Target can have.
var kinds = []kind{
	{"Pod", schema.GroupVersionResource{Version: "v1", Resource: "pods"}, "po"},
	{"Deployment", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "deploy"},
	{"StatefulSet", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}, "sts"},
	{"DaemonSet", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}, "ds"},
	{"ReplicaSet", replicaSets, "rs"},
	{"Job", jobs, ""},
	{"CronJob", schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}, "cj"},
}

// The resources whose objects may stand between a pod and its workload.
var (
	replicaSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	jobs        = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
)

// named reports whether kubectl accepts the word as the kind's name. kubectl get -o name prints the form with the API group, such as
// deployment.apps.
func (k kind) named(word string) bool {
	word = strings.ToLower(word)
	if k.resource.Group != "" {
		word = strings.TrimSuffix(word, "."+k.resource.Group)
	}
	return slices.Contains([]string{strings.ToLower(k.name), k.resource.Resource, k.short}, word) && word != ""
}

// Parse returns the target that an argument in the form KIND/NAME names. It returns false if the argument is not a target, such as
// the image pod/web:1.
func Parse(argument string) (Target, bool) {
	word, name, found := strings.Cut(argument, "/")
	if !found || len(validation.NameIsDNSSubdomain(name, false)) > 0 {
		return Target{}, false
	}
	for _, kind := range kinds {
		if kind.named(word) {
			return Target{Kind: kind.name, Name: name, resource: kind.resource}, true
		}
	}
	return Target{}, false
}

// String returns the target as kubectl accepts it, such as deployment/web.
func (t Target) String() string { return strings.ToLower(t.Kind) + "/" + t.Name }
