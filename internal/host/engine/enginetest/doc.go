// Package enginetest provides a fake Docker daemon for tests of setup. It serves the Docker Engine API on a Unix socket and keeps
// containers with files, networks, volumes and images in memory.
//
// It does not run anything: starting a container only changes its state.
package enginetest
