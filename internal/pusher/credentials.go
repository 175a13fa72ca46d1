package pusher

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"kind-local-registry/config"
)

// The files of the credentials. The server needs the first three, a client the first and the last two.
const (
	CAFile         = "ca.crt"
	ServerCertFile = "server.crt"
	ServerKeyFile  = "server.key"
	ClientCertFile = "client.crt"
	ClientKeyFile  = "client.key"
)

const (
	// validFor is how long certificates are valid. It is long because only setup renews them, and the user runs it.
	validFor = 10 * 365 * 24 * time.Hour
	// skew is the tolerated difference between clocks.
	skew = time.Hour
)

// Credentials are the certificates and keys of a server and its clients, as PEM. Their CA signs nothing else: its key is not
// kept.
type Credentials struct {
	CA                    []byte
	ServerCert, ServerKey []byte
	ClientCert, ClientKey []byte
}

// NewCredentials makes credentials that are valid from an hour before now until ten years after it: ECDSA P-256, with the name
// config.PusherContainer for the server.
func NewCredentials(now time.Time) (Credentials, error) {
	caKey, err := newKey()
	if err != nil {
		return Credentials{}, err
	}
	ca := template(now, config.PusherContainer+" CA")
	ca.IsCA, ca.BasicConstraintsValid, ca.MaxPathLenZero = true, true, true
	ca.KeyUsage = x509.KeyUsageCertSign
	caPEM, err := sign(ca, ca, caKey.Public(), caKey)
	if err != nil {
		return Credentials{}, err
	}
	server := template(now, config.PusherContainer)
	server.DNSNames = []string{config.PusherContainer}
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	serverCert, serverKey, err := pair(server, ca, caKey)
	if err != nil {
		return Credentials{}, err
	}
	client := template(now, config.PusherContainer+" client")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	clientCert, clientKey, err := pair(client, ca, caKey)
	return Credentials{
		CA: caPEM, ServerCert: serverCert, ServerKey: serverKey, ClientCert: clientCert, ClientKey: clientKey,
	}, err
}

// Files returns the contents of the credentials' files by name.
func (c Credentials) Files() map[string][]byte {
	return map[string][]byte{
		CAFile: c.CA, ServerCertFile: c.ServerCert, ServerKeyFile: c.ServerKey,
		ClientCertFile: c.ClientCert, ClientKeyFile: c.ClientKey,
	}
}

// Check reports every fault of the credentials: missing parts, certificates that do not match their key or CA, and those that
// are not valid now and at the later times.
func (c Credentials) Check(now time.Time, later ...time.Time) error {
	var faults []error
	for _, at := range append([]time.Time{now}, later...) {
		server := x509.VerifyOptions{
			CurrentTime: at, DNSName: config.PusherContainer, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		client := x509.VerifyOptions{CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		faults = append(faults, check(c.CA, c.ServerCert, c.ServerKey, server), check(c.CA, c.ClientCert, c.ClientKey, client))
	}
	return errors.Join(faults...)
}

// check returns an error unless the certificate matches the key and is signed by the CA.
func check(ca, cert, key []byte, options x509.VerifyOptions) error {
	pair, pool, err := parse(ca, cert, key)
	if err != nil {
		return err
	}
	options.Roots = pool
	if _, err := pair.Leaf.Verify(options); err != nil {
		return fmt.Errorf("verifying certificate %s: %w", pair.Leaf.Subject.CommonName, err)
	}
	return nil
}

// template returns a certificate for that name, with a random serial number.
func template(now time.Time, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(rand.Text()[:16])),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(validFor),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

// newKey makes a key.
func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// pair makes a key and the CA's certificate for it, as PEM.
func pair(subject, ca *x509.Certificate, caKey crypto.Signer) (cert, key []byte, err error) {
	private, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	if cert, err = sign(subject, ca, private.Public(), caKey); err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the key of %s: %w", subject.Subject.CommonName, err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// sign makes a certificate, as PEM.
func sign(subject, ca *x509.Certificate, public crypto.PublicKey, caKey crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, subject, ca, public, caKey)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate %s: %w", subject.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
