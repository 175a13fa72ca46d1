// Package certs maintains the webhook's serving certificate. It makes and renews the certificate in a Secret that all replicas
// share, serves it from memory, and updates the caBundle of the webhook configuration, so that the API server always trusts
// the certificate that is served.
//
// With the certificate it keeps a token and publishes it as the end of the path that the API server calls. No pod can read a
// webhook configuration without being given that right, so a caller that knows the path is the API server.
//
// It needs no files and no other operator. The functions of open-policy-agent/cert-controller make and check the certificates;
// docs/adr/0002-serving-certificate.md says why the rest is our own.
package certs
