// Package pusher is the push as a service: which of the host's images are in the registry, and bring this one there.
//
// Service does it, in the process that has the Docker socket. Server puts it on the network for those that must not have
// it, and Client is the other end; both ends prove who they are by certificates of Credentials, which setup makes. The
// two verbs are all that a client can do: it never names a file, a command or another registry.
package pusher
