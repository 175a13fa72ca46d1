package config

// Our annotations on a pod.
const (
	// OriginalsAnnotation is the annotation with a pod's original images: a JSON object from field path, as in
	// spec.containers{app}, to image.
	OriginalsAnnotation = "kind-local-registry/original-images"
	// NeverAnnotation is the annotation with the paths of the fields whose author set imagePullPolicy: Never, a JSON list.
	// Their original image is never restored, because the kubelet would pull it from the registry in its name.
	NeverAnnotation = "kind-local-registry/pull-never"
	// HealedAnnotation is the annotation with the number of times that a pod was healed, and the last time.
	HealedAnnotation = "kind-local-registry/healed"
	// ProgressAnnotation is the annotation with the progress of the pushes that a gated pod waits for, for people to read. It
	// is removed with the gate.
	ProgressAnnotation = "kind-local-registry/progress"
	// RewriteAnnotation is the annotation with which a pod opts out: the value "false" keeps its images as they are.
	RewriteAnnotation = "kind-local-registry/rewrite"
)
