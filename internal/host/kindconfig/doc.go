// Package kindconfig adds what kind nodes need to a user's kind configuration, for users who create their clusters themselves. It
// changes as little as possible of the configuration's text, and rejects settings that would keep a node from the registry.
//
// It reads and writes no files. Package cluster creates clusters.
package kindconfig
