package certs

import (
	"crypto/rand"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

const (
	caLife = 10 * 365 * 24 * time.Hour
	// certLife and renewAhead are the same as Let's Encrypt's. Renewal is cheap, so certificates are renewed often enough to show
	// that renewal works. A computer that was off for a month still starts with a valid certificate.
	certLife   = 90 * 24 * time.Hour
	renewAhead = 30 * 24 * time.Hour
	// skew is how far in the past a certificate's validity begins, because clocks differ.
	skew = time.Hour

	caName = config.Name + "-ca"
)

// Made returns the content of the Secret that a Keeper would create at the given time: a CA, a certificate for the names, and a
// token. At least one name is required.
func Made(dnsNames []string, now time.Time) (map[string][]byte, error) {
	made, _, err := material(nil).renewed(dnsNames, now)
	return made, err
}

// renewed recreates each part of the material that is missing or broken, was issued for other names, expires soon, or is not
// valid yet. It returns the new material and reports whether any part was recreated. A part may not be valid yet if the clock was
// ahead when the part was created.
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

// certify creates a serving certificate. If caValid is false, it first creates a CA.
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
