// Package daemon tests pushes from real Docker daemons. It starts one daemon with the overlay2 driver and one with the containerd
// image store, and runs a conformance suite against each of their layer sources. It requires root, the build tag daemon (make
// test-daemon), and a dockerd, whose path can be set in DOCKERD. With E2E_FULL=1, it tests more states and more damage.
package daemon
