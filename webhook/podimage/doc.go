// Package podimage reads and changes a pod: the fields that name images, and our marks, which are the annotations (the original
// images among them) and the scheduling gate.
//
// Admission, delivery and uninstall share it, so that one reads what another wrote. Changes are JSON Patch operations (RFC
// 6902), so that fields of a pod that we do not know survive.
package podimage
