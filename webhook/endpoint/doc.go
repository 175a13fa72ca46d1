// Package endpoint serves the webhook over HTTPS. Its port is open to every pod of the cluster. So it limits what any caller can
// use, and knows the API server by the token in its path.
package endpoint
