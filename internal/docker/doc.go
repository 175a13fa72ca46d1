// Package docker looks up images in the host's Docker daemon, and reads their blobs.
//
// A reference is resolved to an ID once, and all later requests use the ID, so that a tag that moves during a push has no effect.
// The package only reads: it never tags, pulls or removes an image. It does not verify the blobs: the registry does.
package docker
