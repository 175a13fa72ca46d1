// Package dockertest contains a fake Docker daemon for tests. It implements the part of the Engine API that package docker
// uses, and saves images in the layout of Docker 26. Tests that need a real daemon use test/dockerd.
package dockertest
