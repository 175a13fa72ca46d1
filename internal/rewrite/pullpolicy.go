package rewrite

// AlwaysByDefault reports whether the API server sets imagePullPolicy to Always if the pod's author omitted it. It does if the
// tag is latest, or if the reference has neither a tag nor a digest
// (https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting). AlwaysByDefault returns false for an
// invalid reference.
func AlwaysByDefault(image string) bool {
	name, err := Parse(image)
	return err == nil && name.Tag() == "latest"
}
