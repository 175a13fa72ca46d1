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

// LoadServerTLS returns the server's TLS configuration from the files in a directory. Its error lists every file that cannot be
// read.
func LoadServerTLS(directory string) (*tls.Config, error) {
	var faults []error
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(directory, name)) // #nosec G304 -- the operator chooses the directory
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

// ServerTLS returns the server's TLS configuration. ca, cert and key are PEM. The server accepts only TLS 1.3 and only clients
// that have a certificate from the CA.
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

// ClientTLS returns a client's TLS configuration. ca, cert and key are PEM. The client accepts only TLS 1.3 and only a server
// that is named config.PusherContainer, regardless of the address that it dials.
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

// parse parses the CA's certificate, and another certificate with its key.
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
