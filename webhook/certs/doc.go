// Package certs maintains the webhook's serving certificate. It creates and renews the certificate in a Secret that all replicas
// share, and serves it from memory. It also updates the webhook configuration's caBundle, so that the API server always trusts
// the certificate being served.
//
// The Secret also contains a token, which forms the end of the webhook's URL path in the webhook configuration. No pod can read a
// webhook configuration unless it is granted that right, so a caller that knows the path is the API server.
//
// The package needs no files and no separate operator. It uses functions from open-policy-agent/cert-controller to create and
// check the certificates; docs/adr/0002-serving-certificate.md explains why the rest is our own code.
package certs
