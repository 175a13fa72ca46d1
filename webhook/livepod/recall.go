package livepod

import (
	"slices"

	"kind-local-registry/config"
	"kind-local-registry/webhook/podimage"
)

// recall fills in the decisions in the webhook's log. read is nil if no log could be read.
func (p *Pod) recall(read *journal) {
	for i := range p.Images {
		image := &p.Images[i]
		if read != nil {
			if found, ok := read.decisions[place{p.Pod.Namespace, p.Pod.Name, image.Field.Path}]; ok {
				image.Admission = &found
				continue
			}
		}
		image.Unlogged = p.unlogged(read)
	}
}

// unlogged returns why the log of no replica has a line about the pod.
func (p *Pod) unlogged(read *journal) string {
	switch {
	case slices.Contains(config.ExemptNamespaces(), p.Pod.Namespace):
		return "the API server does not call the webhook for pods in the exempt namespace " + p.Pod.Namespace
	case podimage.Mirror(p.Pod):
		return "the API server does not call the webhook for mirrors of static pods"
	case read == nil:
		return "the webhook's log could not be read"
	case len(read.replicas) == 0:
		return "the webhook has no pod, and so no log"
	}
	for _, replica := range read.replicas {
		if replica.Err != nil {
			return "the log of the webhook's pod " + replica.Pod + " could not be read: " + replica.Err.Error()
		}
	}
	older := func(replica Replica) bool {
		return !replica.Since.IsZero() && replica.Since.Before(p.Pod.CreationTimestamp.Time)
	}
	if !slices.ContainsFunc(read.replicas, older) {
		return "the log of the webhook begins after the pod was created"
	}
	return "no replica of the webhook has logged a decision: it was unavailable when the pod was created, or its log was rotated"
}
