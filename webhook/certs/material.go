package certs

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// The keys of the Secret, besides those of a kubernetes.io/tls Secret.
const (
	caCert       = "ca.crt"
	caPrivateKey = "ca.key"
	token        = "token"
)

// tokenLength is that of rand.Text: 130 bits in base32.
const tokenLength = 26

// maxCAs is how many CAs a caBundle has: the current one, and those before, whose certificates a replica may still serve.
const maxCAs = 3

const (
	caLife = 10 * 365 * 24 * time.Hour
	// certLife and renewAhead are those of Let's Encrypt. Renewal is cheap, so it happens often enough to be known to work; and
	// a computer that was off for a month starts with a valid certificate.
	certLife   = 90 * 24 * time.Hour
	renewAhead = 30 * 24 * time.Hour
	// skew is how far in the past a certificate begins: clocks differ.
	skew = time.Hour

	caName = config.Name + "-ca"
)

// material is the content of the Secret: a CA, a serving certificate signed by it, and the token of the webhook's path.
type material map[string][]byte

// Made returns the content of a Secret as a Keeper makes it at now: a CA, a certificate for the names (at least one), and a
// token.
func Made(dnsNames []string, now time.Time) (map[string][]byte, error) {
	made, _, err := material(nil).renewed(dnsNames, now)
	return made, err
}

// renewed returns the material with each part recreated that is missing, broken, for other names, about to expire or not yet
// valid at now. It reports whether it recreated any. A clock that was ahead leaves certificates that begin in the future.
func (m material) renewed(dnsNames []string, now time.Time) (material, bool, error) {
	soon := now.Add(renewAhead)
	caValid := m.caValid(now) && m.caValid(soon)
	certValid := caValid && m.servesAll(dnsNames, now) && m.servesAll(dnsNames, soon)
	if certValid && m.tokenValid() {
		return m, false, nil
	}
	next := material{}
	maps.Copy(next, m)
	if !m.tokenValid() {
		next[token] = []byte(strings.ToLower(rand.Text()))
	}
	if certValid {
		return next, true, nil
	}
	if err := next.certify(dnsNames, caValid, now); err != nil {
		return nil, false, err
	}
	return next, true, nil
}

// certify makes a serving certificate, and a CA first unless the material's is valid.
func (m material) certify(dnsNames []string, caValid bool, now time.Time) error {
	maker := maker(dnsNames)
	if !caValid {
		ca, err := maker.CreateCACert(now.Add(-skew), now.Add(caLife))
		if err != nil {
			return fmt.Errorf("making the CA: %w", err)
		}
		m[caCert], m[caPrivateKey] = ca.CertPEM, ca.KeyPEM
	}
	ca, err := m.ca()
	if err != nil {
		return fmt.Errorf("reading the CA: %w", err)
	}
	cert, key, err := maker.CreateCertPEM(ca, now.Add(-skew), now.Add(certLife))
	if err != nil {
		return fmt.Errorf("making the serving certificate: %w", err)
	}
	m[corev1.TLSCertKey], m[corev1.TLSPrivateKeyKey] = cert, key
	return nil
}

// caValid reports whether the CA is valid at the given time.
func (m material) caValid(at time.Time) bool {
	return valid(m[caCert], m[caCert], m[caPrivateKey], caName, nil, at)
}

// tokenValid reports whether the token is valid in the path of a webhook configuration: a DNS-1123 label of our length.
func (m material) tokenValid() bool {
	foreign := strings.Trim(string(m[token]), "abcdefghijklmnopqrstuvwxyz234567")
	return len(m[token]) == tokenLength && foreign == ""
}

// bundle returns the CAs that the API server must trust at now: the current one, and the last valid ones that it trusts
// already.
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

// servesAll reports whether the serving certificate is valid at the given time for every name.
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

// maker returns a maker of certificates for the names.
func maker(dnsNames []string) *rotator.CertRotator {
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return &rotator.CertRotator{
		CAName: caName, CAOrganization: config.Name,
		DNSName: dnsNames[0], ExtraDNSNames: dnsNames[1:], ExtKeyUsages: &usage,
	}
}

// valid reports whether the CA signed the certificate, and the certificate has this key and is valid for the name at the given
// time.
func valid(ca, cert, key []byte, name string, usage *[]x509.ExtKeyUsage, at time.Time) bool {
	ok, err := rotator.ValidCert(ca, cert, key, name, usage, at)
	return ok && err == nil
}

// parse parses one PEM certificate.
func parse(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no certificate in PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate: %w", err)
	}
	return cert, nil
}
