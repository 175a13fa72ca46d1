package config

// Annotations that we set on a pod or read from it.
const (
	// OriginalsAnnotation records a pod's original images as a JSON object. It maps field paths, such as spec.containers{app}, to
	// images.
	OriginalsAnnotation = "kind-local-registry/original-images"
	// NeverAnnotation is a JSON list of paths of image fields: those for which the pod's author set imagePullPolicy: Never. Their
	// original images are never restored, because the kubelet would pull these images from the registries that they name.
	NeverAnnotation = "kind-local-registry/pull-never"
	// HealedAnnotation records how often a pod was healed, and when it was last healed.
	HealedAnnotation = "kind-local-registry/healed"
	// ProgressAnnotation is for people: it describes the progress of the pushes that a gated pod is waiting for. It is removed
	// together with the gate.
	ProgressAnnotation = "kind-local-registry/progress"
	// RewriteAnnotation excludes a pod from rewriting if its value is "false".
	RewriteAnnotation = "kind-local-registry/rewrite"
	// RestartAnnotation makes the webhook restart a Deployment, StatefulSet or DaemonSet on a rebuild of one of its images, if the
	// value is "true". The label of the same name on a namespace applies to every workload in it that has no such annotation.
	RestartAnnotation = "kind-local-registry/restart-on-rebuild"
	// RestartedAtAnnotation is the annotation that kubectl rollout restart sets on a pod template.
	RestartedAtAnnotation = "kubectl.kubernetes.io/restartedAt"
)
