// Package config defines the names, ports and paths that all components of kind-local-registry share: those of the registry,
// the pusher, the chart, and the labels and annotations on pods.
//
// It has constants and functions of their arguments only. It reads no file and talks to no daemon or cluster: the caller
// passes the values of a running system.
package config
