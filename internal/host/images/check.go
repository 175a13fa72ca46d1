package images

import (
	"errors"
	"fmt"
	"regexp"

	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/rewrite"
)

// idLike matches an image ID as Docker prints it, in full or short. An image whose name looks like an ID can be named with its
// tag.
var idLike = regexp.MustCompile(`^(sha256:[0-9a-f]+|[0-9a-f]{12,64})$`)

// Check reports every reference that cannot name an image. It does not ask Docker.
func Check(images []string) error {
	var faults []error
	for _, image := range images {
		_, err := rewrite.Parse(image)
		switch {
		case idLike.MatchString(image):
			faults = append(faults, step.Remedy(fmt.Errorf("%s is the ID of an image and pods need a name", image),
				"give the name that docker image ls shows for it, or one that docker tag gives it"))
		case err != nil:
			faults = append(faults, step.Remedy(err, "name an image as docker build --tag takes it"))
		}
	}
	return errors.Join(faults...)
}
