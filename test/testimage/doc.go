// Package testimage builds unusual images, of kinds that have broken other tools. The tests use them with real daemons and real
// nodes.
package testimage
