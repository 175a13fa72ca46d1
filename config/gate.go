package config

// Gate is the scheduling gate of a pod whose image is being pushed (KEP-3521).
const Gate = "kind-local-registry/image-push"
