// Package service manages the two containers that setup keeps running on the host, the registry and the pusher, and their images.
//
// Settings that the user does not choose are taken from the existing containers: the registry's image and port, and the pusher's
// rules. A registry that another tool created is adopted: it is started and connected to the kind network, but never recreated or
// removed.
package service
