// Package carried embeds two images in setup, as one archive for docker load: the registry's image, and the image that the
// webhook and the pusher share. A user therefore needs only setup and Docker, and setup pulls nothing.
//
// make builds the archive with hack/images. A plain go build embeds no archive, and Archive then returns ErrNotBuilt.
package carried
