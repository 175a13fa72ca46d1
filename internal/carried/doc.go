// Package carried is what setup carries inside itself: the images of the registry and of the webhook, which is the pusher
// too, as one archive that docker load reads. With it, setup and Docker are all that a user needs.
//
// The archive is built by make (hack/images); a plain go build has none, and Archive says so.
package carried
