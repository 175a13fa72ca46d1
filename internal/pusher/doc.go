// Package pusher provides a service that looks up images and pushes them.
//
// Service runs in the process that has the Docker socket. Server offers the service over the network to processes that must not
// have the socket, and Client is its client. Server and Client authenticate with the certificates in Credentials, which setup
// generates. A client can only look up and push images, and follow the events of the host's images. It cannot choose a file, a command
// or another registry. A client on the host can also list images, and have unused ones removed.
package pusher
