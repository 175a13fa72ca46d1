// Package delivery implements the delivery controller. It finds the pods that are waiting for an image, reads each of them from
// the API server and has its images pushed. Then one patch pins the images' digests and ungates the pod.
//
// It heals a pod if the kubelet cannot pull an image that the host has. This happens if the pod was created while the webhook was
// unavailable, or if the registry has lost the image since. If the host does not have the image, the pod gets a Warning Event that
// suggests similar tags of the host.
//
// If an image can never be pushed, or its push keeps failing until the deadline, the pod gets its original image and a Warning
// Event, so no pod waits forever. All state between attempts is stored in the pod, so nothing is lost even if all components
// restart.
package delivery
