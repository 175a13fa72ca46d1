// Package dockerd starts Docker daemons beside the host's, for the tests that need another image store, or a daemon that
// may be broken. DOCKERD in the environment is the program to start, such as what hack/dockerd.sh prints; the default is
// dockerd in PATH. It needs root.
package dockerd
