// Package dockerd starts Docker daemons in addition to the host's, for tests that need another image store or break the daemon.
// The environment variable DOCKERD names the program, such as the one that hack/dockerd.sh prints; the default is dockerd in
// PATH. It needs root.
package dockerd
