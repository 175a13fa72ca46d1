// Package dockerd starts Docker daemons beside that of the host, for the tests that need another store of images, or one
// that may be broken. It needs root and the program dockerd.
package dockerd
