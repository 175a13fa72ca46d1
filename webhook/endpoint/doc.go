// Package endpoint serves the webhook over HTTPS. Every pod in the cluster can connect to its port. So the package limits the
// resources that any caller can use, and recognises the API server by a token in the URL path.
package endpoint
