// Package coalesce lets callers who want the same thing at the same time share the work for it. Other than
// golang.org/x/sync/singleflight it lets one of them leave without ending the work for the others, ends it when nobody is
// left, and tells all of them how far it is.
package coalesce
