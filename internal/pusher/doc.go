// Package pusher looks images up and pushes them, as a service.
//
// Service does it in the process that has the Docker socket. Server offers it on the network to processes that must not have
// the socket, and Client is its client. Both authenticate with the certificates in Credentials, which setup makes. A client can
// only look up and push: it cannot name a file, a command or another registry.
package pusher
