// Package daemon tests pushes from real Docker daemons, which it starts: one with the overlay2 driver and one with the
// containerd image store. A conformance suite runs against each of their layer sources. It needs root, a dockerd, which DOCKERD
// can name, and the build tag daemon (make test-daemon).
package daemon
