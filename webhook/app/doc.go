// Package app assembles the webhook process: admission, delivery, the serving certificate and uninstall under one
// controller-runtime manager, with its caches, health checks and leader election.
//
// The serve command runs it, and so do the tests against a real API server. The caller provides the Pusher.
package app
