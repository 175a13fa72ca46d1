// Package certs keeps the webhook's serving certificate: it makes and renews it in a Secret that all replicas share,
// serves it from memory, and keeps the webhook configuration's caBundle in step, so that the API server always trusts
// what is served.
//
// With the certificate it keeps a token, which it publishes as the end of the path that the API server calls. No pod can
// read a webhook configuration without being given the right to: a caller that knows the path is the API server.
//
// It has no files and needs no other operator. The certificates themselves are made and checked by the functions of
// open-policy-agent/cert-controller; docs/adr/0002-serving-certificate.md says why the rest is our own.
package certs
