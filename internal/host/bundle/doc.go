// Package bundle writes files for a bug report to a directory, without secrets.
//
// Sources omit what is secret as a whole, such as Secrets. Everything that they return is then redacted: private keys, credentials in
// URLs and headers, tokens, and the values of settings whose names say that they are secret. The package knows neither Docker nor
// Kubernetes; internal/host lists the sources.
package bundle
