// Package delivery brings the images of created pods into the registry: it finds the pods that wait for one, reads each
// back from the API server, has its images pushed, and then, in one patch, pins their digests and lifts our scheduling
// gate.
//
// A pod whose image the kubelet cannot pull and the host has is healed: the webhook was away when it was created, or the
// registry has lost the image since.
//
// An image that can never be pushed, or that fails for longer than the deadline, ends in a pod that runs what its author
// wrote, with a Warning Event: no pod waits for ever. Nothing is remembered between attempts but in the pod itself, so a
// restart of everything loses nothing.
package delivery
