// Package disk decides which images can be removed from the registry and from the nodes, and removes them.
//
// An image is used if a tag on the host refers to it, or if an object in a cluster names it: a pod, or an object that creates
// pods. All other images can be removed, the least recently used first. If the pods of a cluster are unknown, nothing is removed
// from the registry. Package store protects what a push or a pull is using at the same time.
package disk
