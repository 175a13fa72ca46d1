// Package app assembles the webhook process. One controller-runtime manager runs admission, delivery, the serving certificate and
// uninstall, and provides caches, health checks and leader election.
//
// Both the serve command and the tests against a real API server run it. The caller provides the Pusher.
package app
