// Package imagewatch tells controllers which of the host's images may have changed, so that they act immediately. A controller must not
// rely on it: changes are missed while the pusher is unavailable, and all images are then reported instead.
package imagewatch
