// Package service manages the three containers that setup keeps running on the host, and their images: the registry, the pusher and
// the linker.
//
// Settings that the user does not choose are taken from the existing containers: the registry's image and port, the pusher's rules,
// its limit of the registry's storage, and whether layers are linked. A registry that another tool created is adopted: it is
// started and connected to the kind network, but never recreated or removed.
package service
