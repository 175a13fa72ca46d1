// Package images pushes images of the host's Docker daemon to the registry before a pod asks for them, as setup push does.
//
// It copies nothing itself: the pusher does. It adds to each failure what the user can do.
package images
