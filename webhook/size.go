package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// MaxFields is how many containers and volumes a pod may have for its images to be decided about.
	MaxFields = 1000
	// maxValues is how many objects, lists and their members a pod may have. The largest pods have some thousands; decoded,
	// an empty one in two bytes can take a hundred times as many.
	maxValues = 50_000
)

// errTooManyValues is the error of an object with more than maxValues.
var errTooManyValues = fmt.Errorf("the object has more than %d values", maxValues)

// checkSize returns an error for an object, in JSON, that would take too much memory decoded, or too long to decide about. It
// takes hardly any memory itself.
func checkSize(object []byte) error {
	count := func(text string) int { return bytes.Count(object, []byte(text)) }
	objects := count("{")
	if objects+count("null") <= MaxFields && objects+count("[")+count(",") <= maxValues {
		return nil // as of nearly every pod: an element is an object or null, and a value comes after one of the three
	}
	if countValues(object) > maxValues {
		return errTooManyValues
	}
	var pod struct {
		Spec struct {
			InitContainers, Containers, EphemeralContainers, Volumes elements
		}
	}
	if err := json.Unmarshal(object, &pod); err != nil {
		return nil //nolint:nilerr // who decodes it says so
	}
	fields := pod.Spec.InitContainers + pod.Spec.Containers + pod.Spec.EphemeralContainers + pod.Spec.Volumes
	if fields > MaxFields {
		return fmt.Errorf("the pod has %d containers and volumes, of at most %d", fields, MaxFields)
	}
	return nil
}

// elements is the number of elements in a JSON list, or in all lists that a name is given to.
type elements int

// UnmarshalJSON implements json.Unmarshaler.
func (e *elements) UnmarshalJSON(list []byte) error {
	var found []struct{} // which takes no memory, however many there are
	if err := json.Unmarshal(list, &found); err != nil && !errors.As(err, new(*json.UnmarshalTypeError)) {
		return err
	}
	*e += elements(len(found))
	return nil
}

// countValues returns at least how many values the JSON document has: for each but the first of a list or object there is a
// comma, and for that a bracket.
func countValues(document []byte) (values int) {
	inString, escaped := false, false
	for _, char := range document {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = char == '\\', char != '"'
		case char == '"':
			inString = true
		case char == ',', char == '[', char == '{':
			values++
		}
	}
	return values
}
