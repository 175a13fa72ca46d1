package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

var errEmpty = errors.New("is empty")

// imageParts contains the parts of a reference, or of a pattern for references. Each part is matched separately.
type imageParts struct{ path, tag, digest string }

// splitImage splits a reference or a pattern into its parts. A colon before the last slash belongs to the host, not to a tag.
func splitImage(image string) imageParts {
	image, digest, _ := strings.Cut(image, "@")
	tagged := image[strings.LastIndex(image, "/")+1:]
	_, tag, _ := strings.Cut(tagged, ":")
	path := image
	if colon := strings.Index(tagged, ":"); colon >= 0 {
		path = image[:len(image)-len(tagged)+colon]
	}
	return imageParts{path: path, tag: tag, digest: digest}
}

// matches reports whether the pattern p matches a normalised reference. A pattern without a tag matches every tag, and a pattern
// without a digest matches every digest.
func (p imageParts) matches(image imageParts) bool {
	return (p.tag == "" || matches(p.tag, image.tag)) &&
		(p.digest == "" || matches(p.digest, image.digest)) &&
		matches(normalisePath(p.path), image.path)
}

// normalisePath completes a pattern as Docker completes a reference: a pattern without a host refers to Docker Hub, and a pattern
// with only one segment refers to an official image there. A pattern that begins with * is not completed.
func normalisePath(path string) string {
	first, rest, nested := strings.Cut(path, "/")
	switch {
	case strings.HasPrefix(path, "*"):
		return path
	case !nested:
		return "docker.io/library/" + path
	case !isHost(first):
		return "docker.io/" + path
	case first == "docker.io" && !strings.Contains(rest, "/") && rest != "**":
		return "docker.io/library/" + rest
	default:
		return path
	}
}

// isHost reports whether Docker interprets the first segment of a reference as a host.
func isHost(segment string) bool {
	return strings.ContainsAny(segment, ".:") || segment == "localhost" || strings.ToLower(segment) != segment
}

// matches reports whether the pattern matches the whole text. An invalid pattern matches nothing.
func matches(pattern, text string) bool {
	matched, err := doublestar.Match(pattern, text)
	return err == nil && matched
}

// checkImage returns an error if a pattern for images is invalid.
func checkImage(pattern string) error {
	parts := splitImage(pattern)
	for _, part := range []string{parts.tag, parts.digest} {
		if part != "" && !doublestar.ValidatePattern(part) {
			return doublestar.ErrBadPattern
		}
	}
	if strings.HasPrefix(parts.path, "*") && parts.path != "**" && !strings.Contains(parts.path, "/") {
		return fmt.Errorf("* does not match a slash: write **/%s, or docker.io/library/%s", pattern, pattern)
	}
	return checkPattern(parts.path)
}

// checkPattern returns an error if a pattern is invalid.
func checkPattern(pattern string) error {
	if pattern == "" {
		return errEmpty
	}
	if !doublestar.ValidatePattern(pattern) {
		return doublestar.ErrBadPattern
	}
	segments := strings.FieldsFunc(pattern, func(r rune) bool { return strings.ContainsRune("/{,}", r) })
	if slices.ContainsFunc(segments, func(s string) bool { return s != "**" && strings.Contains(s, "**") }) {
		return errors.New("** must be alone between two slashes")
	}
	return nil
}
