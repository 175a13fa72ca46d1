// Package docker looks up images in the host's Docker daemon and reads their blobs.
//
// It resolves a reference to an ID once and uses the ID in all later requests, so a tag that moves during a push has no effect.
// It only reads: it never tags, pulls or removes an image. It does not verify the blobs, because the registry does.
package docker
