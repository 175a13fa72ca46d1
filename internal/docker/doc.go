// Package docker is what we ask the host's Docker daemon: which image a name stands for, and the image's blobs.
//
// A name is resolved to an ID once, and everything after that is asked by the ID, so that a tag which moves meanwhile
// changes nothing. The package only reads: it never tags, pulls or removes. It knows nothing of registries; what it
// yields is not verified here, but by the registry that takes it.
package docker
