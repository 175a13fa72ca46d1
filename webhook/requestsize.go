package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// MaxFields is the maximum number of a pod's containers and volumes. The webhook leaves a pod with more of them unchanged.
	MaxFields = 1000
	// maxValues is the maximum number of JSON values in a pod. The largest real pods contain a few thousand. The number is limited
	// because an empty object takes two bytes in JSON but up to a hundred times as many when decoded.
	maxValues = 50_000
)

// errTooManyValues is returned for an object with more than maxValues.
var errTooManyValues = fmt.Errorf("the object has more than %d values", maxValues)

// checkSize returns an error for a JSON object that would take too much memory to decode or too long to decide about. The check
// itself needs hardly any memory.
func checkSize(object []byte) error {
	count := func(text string) int { return bytes.Count(object, []byte(text)) }
	objects := count("{")
	if objects+count("null") <= MaxFields && objects+count("[")+count(",") <= maxValues {
		return nil // true for nearly every pod: each element is an object or null, and each value follows a "{", "[" or ","
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
		return nil //nolint:nilerr // the caller's decoding fails with the same error
	}
	fields := pod.Spec.InitContainers + pod.Spec.Containers + pod.Spec.EphemeralContainers + pod.Spec.Volumes
	if fields > MaxFields {
		return fmt.Errorf("the pod has %d containers and volumes, more than %d", fields, MaxFields)
	}
	return nil
}

// elements counts the elements in a JSON list, or in all lists under the same key.
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

// countValues returns an upper bound for the number of values inside a JSON document's lists and objects. It counts commas and
// opening brackets and braces, because every value follows one of them directly or after its key.
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
