package rewrite

// AlwaysByDefault reports whether the API server sets imagePullPolicy to Always if the author of a pod wrote none: the tag is
// latest, or the reference has neither tag nor digest. It returns false for an invalid reference
// (https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting).
func AlwaysByDefault(image string) bool {
	name, err := Parse(image)
	return err == nil && name.Tag() == "latest"
}
