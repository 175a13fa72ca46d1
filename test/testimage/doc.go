// Package testimage builds unusual images that have broken tools before, for the tests with real daemons and real nodes.
package testimage
