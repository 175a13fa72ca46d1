// Package endpoint serves the webhook over HTTPS. Its port is open to every pod of the cluster, so it bounds what any caller can
// take, and tells the API server from other callers by the token in its path.
package endpoint
