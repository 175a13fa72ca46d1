// Package enginetest fakes the Docker Engine API for the rooms of setup: containers with files, networks, volumes and images, in
// memory and behind a Unix socket.
//
// It runs nothing. A started container is one that says so.
package enginetest
