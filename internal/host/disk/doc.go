// Package disk implements setup images, prune and verify: it asks the pusher, and adds to each failure what the user can do about
// it.
//
// The pusher decides what can be removed, and removes it; see internal/disk.
package disk
