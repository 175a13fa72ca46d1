// Package dockerd starts Docker daemons in addition to the host's, for tests that use another image store or break the daemon.
// The environment variable DOCKERD sets the program's path, such as the one that hack/dockerd.sh prints; the default is dockerd
// in PATH. The package requires root.
package dockerd
