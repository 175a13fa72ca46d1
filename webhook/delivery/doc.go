// Package delivery is the delivery controller. It finds the pods that wait for an image, reads each from the API server, has its
// images pushed, and then, in one patch, pins their digests and ungates the pod.
//
// It heals a pod whose image the kubelet cannot pull and the host has: the pod was created while the webhook was unavailable, or
// the registry has lost the image since.
//
// If an image can never be pushed, or fails until the deadline, the pod gets its original image and a Warning Event: no pod waits
// forever. All state between attempts is in the pod, so a restart of everything loses nothing.
package delivery
