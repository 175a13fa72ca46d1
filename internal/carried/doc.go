// Package carried embeds the images of the registry and of the webhook, which is also the pusher's, in setup, as one archive
// for docker load. So a user needs only setup and Docker, and setup pulls nothing.
//
// make builds the archive (hack/images). A plain go build has none: Archive then returns ErrNotBuilt.
package carried
