// Package rules is the language of the rules (docs/rules.md): which images, namespaces and pods are never rewritten. It parses a
// YAML document, with every fault of it, and answers which rule excludes an image, a namespace or a pod.
package rules
