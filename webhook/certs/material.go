package certs

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// Our Secret has these keys in addition to those of every kubernetes.io/tls Secret.
const (
	caCert       = "ca.crt"
	caPrivateKey = "ca.key"
	token        = "token"
)

// tokenLength is the length of the text that rand.Text returns: 130 bits in base32.
const tokenLength = 26

// maxCAs is the maximum number of CAs in a caBundle. In addition to the current CA, it contains earlier ones, because a replica
// may still be serving a certificate signed by one of them.
const maxCAs = 3

// material is the Secret's content: a CA, a serving certificate signed by it, and the token in the webhook's path.
type material map[string][]byte

// caValid reports whether the CA is valid at the given time.
func (m material) caValid(at time.Time) bool {
	return valid(m[caCert], m[caCert], m[caPrivateKey], caName, nil, at)
}

// tokenValid reports whether the token has the right length and is a DNS-1123 label, so that it can be used in a webhook
// configuration's path.
func (m material) tokenValid() bool {
	foreign := strings.Trim(string(m[token]), "abcdefghijklmnopqrstuvwxyz234567")
	return len(m[token]) == tokenLength && foreign == ""
}

// bundle returns the CAs that the API server must trust. The first is the current CA. It is followed by the latest CAs that the
// API server already trusts, unless they have expired.
func (m material) bundle(trusted []byte, now time.Time) []byte {
	bundle := bytes.Clone(m[caCert])
	for n := 1; n < maxCAs; {
		block, rest := pem.Decode(trusted)
		if block == nil {
			break
		}
		trusted = rest
		former := pem.EncodeToMemory(block)
		ca, err := parse(former)
		if err == nil && now.Before(ca.NotAfter) && !bytes.Equal(former, m[caCert]) {
			bundle, n = append(bundle, former...), n+1
		}
	}
	return bundle
}

// keyPair returns the serving certificate.
func (m material) keyPair() (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(m[corev1.TLSCertKey], m[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	return &pair, nil
}

// servesAll reports whether the serving certificate is valid for every name at the given time.
func (m material) servesAll(dnsNames []string, at time.Time) bool {
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range dnsNames {
		if !valid(m[caCert], m[corev1.TLSCertKey], m[corev1.TLSPrivateKeyKey], name, &usage, at) {
			return false
		}
	}
	return len(dnsNames) > 0
}

// ca returns the CA in the form that cert-controller signs with.
func (m material) ca() (*rotator.KeyPairArtifacts, error) {
	cert, err := parse(m[caCert])
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(m[caCert], m[caPrivateKey])
	if err != nil {
		return nil, fmt.Errorf("reading the CA's key: %w", err)
	}
	key, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the CA's key is not an RSA key")
	}
	return &rotator.KeyPairArtifacts{Cert: cert, Key: key, CertPEM: m[caCert], KeyPEM: m[caPrivateKey]}, nil
}

// maker returns a rotator that creates certificates for the names.
func maker(dnsNames []string) *rotator.CertRotator {
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return &rotator.CertRotator{
		CAName: caName, CAOrganization: config.Name,
		DNSName: dnsNames[0], ExtraDNSNames: dnsNames[1:], ExtKeyUsages: &usage,
	}
}

// valid reports whether the certificate is signed by the CA, belongs to the key, and is valid for the name at the given time.
func valid(ca, cert, key []byte, name string, usage *[]x509.ExtKeyUsage, at time.Time) bool {
	ok, err := rotator.ValidCert(ca, cert, key, name, usage, at)
	return ok && err == nil
}

// parse parses one PEM certificate.
func parse(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM-encoded certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate: %w", err)
	}
	return cert, nil
}
