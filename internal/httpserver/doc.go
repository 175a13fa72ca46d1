// Package httpserver runs an HTTP server until its context ends, and lets what is under way finish: what the registry and the
// pusher, both containers that docker stop ends, have in common.
package httpserver
