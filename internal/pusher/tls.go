package pusher

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"kind-local-registry/config"
)

// LoadServerTLS returns ServerTLS of the files in a directory. It reports every file that cannot be read.
func LoadServerTLS(directory string) (*tls.Config, error) {
	var faults []error
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(directory, name)) // #nosec G304 -- the operator names the directory
		faults = append(faults, err)
		return content
	}
	ca, cert, key := read(CAFile), read(ServerCertFile), read(ServerKeyFile)
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("reading the pusher's certificates: %w", err)
	}
	security, err := ServerTLS(ca, cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading the pusher's certificates in %s: %w", directory, err)
	}
	return security, nil
}

// ServerTLS returns the server's TLS configuration from PEM: TLS 1.3, and clients must have a certificate of the CA.
func ServerTLS(ca, cert, key []byte) (*tls.Config, error) {
	pair, pool, err := parse(ca, cert, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
	}, nil
}

// ClientTLS returns a client's TLS configuration from PEM: TLS 1.3 with the server name config.PusherContainer, whatever
// address it dials.
func ClientTLS(ca, cert, key []byte) (*tls.Config, error) {
	pair, pool, err := parse(ca, cert, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		RootCAs:      pool,
		ServerName:   config.PusherContainer,
	}, nil
}

// parse parses a CA, and a certificate with its key.
func parse(ca, cert, key []byte) (tls.Certificate, *x509.CertPool, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("parsing the certificate and its key: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return tls.Certificate{}, nil, errors.New("parsing the CA: no certificate found")
	}
	return pair, pool, nil
}
