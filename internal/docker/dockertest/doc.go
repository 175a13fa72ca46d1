// Package dockertest is a Docker daemon for tests: as much of the Engine API as package docker asks for, with images
// saved in the layout of Docker 26. It is the only fake of the project's tests.
package dockertest
