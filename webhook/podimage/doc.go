// Package podimage reads and changes the parts of a pod that concern us: the fields that name images, our annotations and our
// scheduling gate.
//
// Admission, delivery and uninstall share the package, so that each can read what another has written. Changes are JSON Patch
// operations (RFC 6902), so fields that are unknown to us are preserved.
package podimage
