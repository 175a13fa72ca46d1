// Package rules parses and applies the rules that docs/rules.md describes. Rules exclude images, namespaces and pods from rewriting,
// and contain the settings alwaysPull, loopGuard, prePush and restartOnRebuild.
//
// Rules are plain values. The package reads no files and imports no client for Docker or Kubernetes: setup, the pusher and the
// webhook pass the document to it, and decide what to do about an excluded image.
package rules
