package images

import (
	"errors"
	"fmt"
	"regexp"

	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/rewrite"
)

// idLike matches a full or short image ID as Docker prints it. If an image's name looks like an ID, the user can push the image
// by adding the tag to its name.
var idLike = regexp.MustCompile(`^(sha256:[0-9a-f]+|[0-9a-f]{12,64})$`)

// Check returns an error for every reference that cannot name an image. It does not contact Docker.
func Check(images []string) error {
	var faults []error
	for _, image := range images {
		_, err := rewrite.Parse(image)
		switch {
		case idLike.MatchString(image):
			faults = append(faults, step.Remedy(fmt.Errorf("%s is an image ID, but pods need a name", image),
				"give the name that docker image ls shows for it, or one that docker tag gives it"))
		case err != nil:
			faults = append(faults, step.Remedy(err, "give an image name as in docker build --tag"))
		}
	}
	return errors.Join(faults...)
}
