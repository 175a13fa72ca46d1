// Package httpserver runs an HTTP server until a context ends, and lets the requests in progress finish. The registry, the
// pusher and the webhook use it to stop cleanly.
package httpserver
