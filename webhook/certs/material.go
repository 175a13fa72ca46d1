package certs

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// The keys of the Secret, besides those of a kubernetes.io/tls one.
const (
	caCert       = "ca.crt"
	caPrivateKey = "ca.key"
)

// mostCAs is how many CAs a caBundle has: that of now, and those before it, of which a replica may still serve a certificate.
const mostCAs = 3

const (
	caLife = 10 * 365 * 24 * time.Hour
	// certLife and renewAhead are as Let's Encrypt has them. Renewal costs nothing, so it is done often enough to be known
	// to work; and a computer that was off for a month comes up with a certificate that is still valid.
	certLife   = 90 * 24 * time.Hour
	renewAhead = 30 * 24 * time.Hour
	// skew is how far back a certificate begins: clocks differ.
	skew = time.Hour

	caName = config.Name + "-ca"
)

// material is the content of the Secret: a CA, and a serving certificate that it signed.
type material map[string][]byte

// Made returns the content of a Secret as a Keeper makes it at now: a CA, and a certificate for the names, one at least.
func Made(dnsNames []string, now time.Time) (map[string][]byte, error) {
	made, _, err := material(nil).renewed(dnsNames, now)
	return made, err
}

// renewed returns the material with whatever is missing, broken, for other names or about to end at now made anew, and
// whether anything was.
func (m material) renewed(dnsNames []string, now time.Time) (material, bool, error) {
	soon := now.Add(renewAhead)
	caValid := valid(m[caCert], m[caCert], m[caPrivateKey], caName, nil, soon)
	if caValid && m.servesAll(dnsNames, soon) {
		return m, false, nil
	}
	next := material{}
	maps.Copy(next, m)
	maker := maker(dnsNames)
	if !caValid {
		ca, err := maker.CreateCACert(now.Add(-skew), now.Add(caLife))
		if err != nil {
			return nil, false, fmt.Errorf("making the CA: %w", err)
		}
		next[caCert], next[caPrivateKey] = ca.CertPEM, ca.KeyPEM
	}
	ca, err := next.ca()
	if err != nil {
		return nil, false, fmt.Errorf("reading the CA: %w", err)
	}
	cert, key, err := maker.CreateCertPEM(ca, now.Add(-skew), now.Add(certLife))
	if err != nil {
		return nil, false, fmt.Errorf("making the serving certificate: %w", err)
	}
	next[corev1.TLSCertKey], next[corev1.TLSPrivateKeyKey] = cert, key
	return next, true, nil
}

// bundle returns what the API server shall trust at now: the CA, and of those that it trusts already, the last that are
// valid.
func (m material) bundle(trusted []byte, now time.Time) []byte {
	bundle := bytes.Clone(m[caCert])
	for n := 1; n < mostCAs; {
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

// servesAll says whether the serving certificate is valid at the given time for every name.
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

// maker returns what makes certificates for the names.
func maker(dnsNames []string) *rotator.CertRotator {
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return &rotator.CertRotator{
		CAName: caName, CAOrganization: config.Name,
		DNSName: dnsNames[0], ExtraDNSNames: dnsNames[1:], ExtKeyUsages: &usage,
	}
}

// valid says whether the certificate is signed by the CA, has this key and is good for the name at the given time.
func valid(ca, cert, key []byte, name string, usage *[]x509.ExtKeyUsage, at time.Time) bool {
	ok, err := rotator.ValidCert(ca, cert, key, name, usage, at)
	return ok && err == nil
}

// parse reads one certificate from PEM.
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
