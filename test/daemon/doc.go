// Package daemon tests the copy against real Docker daemons, which it starts itself: one with the overlay2 driver and one
// with the containerd image store. One suite runs over every source of layers that they have. It needs root and a dockerd,
// which DOCKERD can name, and the build tag daemon (make test-daemon).
package daemon
