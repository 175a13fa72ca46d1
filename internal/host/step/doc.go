// Package step runs setup's work as a list of steps. Each step can be checked, applied and undone.
//
// It decides the order (Up starts with the first step, Down with the last) and what happens on failure. It does not depend on
// Docker or Kubernetes, and prints nothing.
package step
