// Package explain uses the webhook's own Decider to decide about pods that do not exist yet. setup explain prints the decisions.
//
// The package pushes nothing and changes nothing.
package explain
