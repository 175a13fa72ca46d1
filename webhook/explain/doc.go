// Package explain decides about pods that do not exist yet, with the webhook's own Decider. setup explain prints what it
// returns.
//
// It pushes nothing and changes nothing.
package explain
