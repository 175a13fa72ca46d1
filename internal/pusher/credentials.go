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

// These are the names of the credentials' files. A server and a client each need CAFile, and their own certificate and key.
const (
	CAFile         = "ca.crt"
	ServerCertFile = "server.crt"
	ServerKeyFile  = "server.key"
	ClientCertFile = "client.crt"
	ClientKeyFile  = "client.key"
)

const (
	// validFor is how long certificates are valid. It is long because certificates are renewed only when the user runs setup.
	validFor = 10 * 365 * 24 * time.Hour
	// skew is the tolerated difference between two machines' clocks.
	skew = time.Hour
)

// Credentials are the certificates and keys of a server and its clients, encoded as PEM. Their CA signs no other certificates,
// because its key is discarded.
type Credentials struct {
	CA                    []byte
	ServerCert, ServerKey []byte
	ClientCert, ClientKey []byte
}

// NewCredentials generates credentials that are valid from an hour before now until ten years after now. The keys are ECDSA
// P-256. The server's name is config.PusherContainer.
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

// Files returns the contents of the credentials' files. The map's keys are the files' names.
func (c Credentials) Files() map[string][]byte {
	return map[string][]byte{
		CAFile: c.CA, ServerCertFile: c.ServerCert, ServerKeyFile: c.ServerKey,
		ClientCertFile: c.ClientCert, ClientKeyFile: c.ClientKey,
	}
}

// Check returns an error that lists everything that is wrong with the credentials: missing parts, certificates that do not
// match their key or CA, and certificates that are invalid now or at one of the later times.
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

// check returns an error unless the certificate matches the key and was signed by the CA.
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

// template returns an unsigned certificate for name, with a random serial number.
func template(now time.Time, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(rand.Text()[:16])),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(validFor),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

// newKey generates a key.
func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generating a key: %w", err)
	}
	return key, nil
}

// pair generates a key and a certificate signed by the CA, both encoded as PEM.
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

// sign returns a signed certificate, encoded as PEM.
func sign(subject, ca *x509.Certificate, public crypto.PublicKey, caKey crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, subject, ca, public, caKey)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate %s: %w", subject.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
