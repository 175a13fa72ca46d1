// Package rules parses and applies the rules of docs/rules.md: which images, namespaces and pods are excluded from rewriting,
// and the settings alwaysPull, loopGuard and prePush.
//
// Rules are plain values. The package reads no file and imports no client of Docker or Kubernetes: setup, the pusher and the
// webhook pass it the document, and decide what to do about an excluded image.
package rules
