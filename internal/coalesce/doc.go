// Package coalesce runs concurrent calls with the same key once. Unlike golang.org/x/sync/singleflight, a caller can leave
// without cancelling the others, the run is cancelled when the last caller has left, and all callers get its progress.
package coalesce
