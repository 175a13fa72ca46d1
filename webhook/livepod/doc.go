// Package livepod explains the images of pods that exist: what each image field runs, what the webhook decided when the pod was
// created, what it would decide now, and why the kubelet cannot pull an image. setup explain KIND/NAME prints the explanations.
//
// The package reads from the API server, from the logs of all webhook replicas and, by lookups, from the host. It changes nothing.
package livepod
