// Package coalesce merges concurrent calls with the same key into one run. It differs from golang.org/x/sync/singleflight in
// three ways: a caller can leave without cancelling the other callers, the run is cancelled when its last caller has left, and
// all callers receive the run's progress.
package coalesce
