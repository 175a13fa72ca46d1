// Package step is how setup works: a list of steps, each of which can be checked, applied and undone.
//
// It owns the order (Up applies the first step first, Down undoes the last step first) and what happens on failure. It knows
// nothing of Docker or Kubernetes and prints nothing.
package step
