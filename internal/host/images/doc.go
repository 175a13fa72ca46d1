// Package images implements setup push: it pushes images from the host's Docker daemon to the registry before a pod requests
// them.
//
// The pusher does the copying. This package adds to each failure what the user can do about it.
package images
