package config

// Gate is the scheduling gate (KEP-3521) on a pod whose images are being pushed.
const Gate = "kind-local-registry/image-push"
