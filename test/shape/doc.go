// Package shape makes images that have broken one tool or another, for the tests with real daemons and real nodes.
package shape
