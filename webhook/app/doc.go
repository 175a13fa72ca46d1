// Package app puts the webhook's process together: admission, delivery and the serving certificate under one
// controller-runtime manager, with its caches, probes and leader election.
//
// It is what the serve command runs, and what the tests against a real API server run. What stands behind the Pusher is
// the caller's.
package app
