// Package dockerd starts Docker daemons in addition to the host's, for tests that use another image store or break the daemon.
// The environment variable DOCKERD sets the path of dockerd, for example to the one that hack/dockerd.sh prints. The default is
// dockerd in PATH. The package requires root.
package dockerd
