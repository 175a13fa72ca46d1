package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// MaxFields is how many containers and volumes a pod has at most for its images to be decided about.
	MaxFields = 1000
	// maxValues is how many objects, lists and members a pod has at most. The largest pods have some thousands. An empty object
	// takes two bytes as JSON, and up to a hundred times as many decoded.
	maxValues = 50_000
)

// errTooManyValues is returned for an object with more than maxValues.
var errTooManyValues = fmt.Errorf("the object has more than %d values", maxValues)

// checkSize returns an error for a JSON object that would take too much memory to decode, or too long to decide about. It takes
// hardly any memory itself.
func checkSize(object []byte) error {
	count := func(text string) int { return bytes.Count(object, []byte(text)) }
	objects := count("{")
	if objects+count("null") <= MaxFields && objects+count("[")+count(",") <= maxValues {
		return nil // nearly every pod: an element is an object or null, and a value follows one of these three
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
		return nil //nolint:nilerr // decoding it fails with this error
	}
	fields := pod.Spec.InitContainers + pod.Spec.Containers + pod.Spec.EphemeralContainers + pod.Spec.Volumes
	if fields > MaxFields {
		return fmt.Errorf("the pod has %d containers and volumes, of at most %d", fields, MaxFields)
	}
	return nil
}

// elements is the number of elements in a JSON list, or in all lists under the same key.
type elements int

// UnmarshalJSON implements json.Unmarshaler.
func (e *elements) UnmarshalJSON(list []byte) error {
	var found []struct{} // empty structs take no memory
	if err := json.Unmarshal(list, &found); err != nil && !errors.As(err, new(*json.UnmarshalTypeError)) {
		return err
	}
	*e += elements(len(found))
	return nil
}

// countValues returns a lower bound of the number of values in the JSON document: each value except the first of a list or
// object follows a comma, and that first one a bracket.
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
