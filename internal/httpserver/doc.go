// Package httpserver runs an HTTP server until its context ends, and then lets requests in progress finish. The registry, the
// pusher and the webhook use it to stop cleanly.
package httpserver
