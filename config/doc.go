// Package config defines the names, ports, paths, labels and annotations that the components of kind-local-registry share.
//
// It contains constants and pure functions. It reads no files and talks to no daemon or cluster: callers pass in the values that
// depend on a running system.
package config
