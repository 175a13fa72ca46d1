// Package service is the two containers that setup keeps running on the host, the registry and the pusher, and the images that
// they run.
//
// What the user does not choose is kept from the containers that exist: image and port of the registry, rules of the pusher. A
// registry that another tool created is adopted: it is started and connected to the kind network, but never recreated or removed.
package service
