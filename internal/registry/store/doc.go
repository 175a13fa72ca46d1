// Package store lists and removes images in the registry's data directory while the registry serves requests.
//
// distribution's own garbage collection needs a registry that is stopped or read-only, because it cannot see requests. This
// package sees them: the registry tells it what each request uses. What a request is using, or has just used, is never removed.
// Package store knows distribution's layout on disk, but does not use distribution.
package store
