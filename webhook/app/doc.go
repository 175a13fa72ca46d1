// Package app assembles the webhook process. One controller-runtime manager runs the parts for admission, delivery, the serving
// certificate and uninstalling. It also provides caches, health checks and leader election.
//
// The serve command and the tests against a real API server use the package. The caller provides the Pusher.
package app
