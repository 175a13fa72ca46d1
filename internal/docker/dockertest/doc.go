// Package dockertest is a fake Docker daemon for tests: the part of the Engine API that package docker uses, with images
// saved in the layout of Docker 26. Tests that need a real daemon use test/dockerd.
package dockertest
