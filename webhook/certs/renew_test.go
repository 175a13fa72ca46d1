package certs

import (
	"bytes"
	"crypto/x509"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// names returns the DNS names for the certificates in these tests.
func names() []string { return []string{"webhook.default.svc", "webhook.default.svc.cluster.local"} }

// start returns the time when the certificates in these tests are created.
func start() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) }

// made returns new material.
func made(t *testing.T) material {
	t.Helper()
	m, changed, err := material(nil).renewed(names(), start())
	if err != nil || !changed {
		t.Fatalf("creating new material: changed = %v, %v", changed, err)
	}
	return m
}

func TestRenewed_KeepsValidParts(t *testing.T) {
	t.Parallel()
	m := made(t)
	for name, at := range map[string]time.Time{
		"immediately":              start(),
		"shortly before it is due": start().Add(certLife - renewAhead - time.Minute),
		"on a slow clock":          start().Add(-skew / 2),
	} {
		if _, changed, err := m.renewed(names(), at); err != nil || changed {
			t.Errorf("%s: changed = %v, %v, want it kept", name, changed, err)
		}
	}
}

// ahead returns a certificate that the material's CA signed while the clock was 20 days ahead.
func ahead(m material) (cert, key []byte) {
	later := maps.Clone(m)
	if err := later.certify(names(), true, start().Add(20*24*time.Hour)); err != nil {
		panic(err)
	}
	return later[corev1.TLSCertKey], later[corev1.TLSPrivateKeyKey]
}

func TestRenewed_MakesATokenThatFitsAPath(t *testing.T) {
	t.Parallel()
	original := made(t)
	for name, broken := range map[string]string{
		"none": "", "one with a slash": strings.Repeat("a/", 13), "one in capitals": strings.Repeat("A", 26), "a short one": "abc",
	} {
		m := maps.Clone(original)
		m[token] = []byte(broken)
		next, changed, err := m.renewed(names(), start())
		if err != nil || !changed {
			t.Fatalf("renewed with %s: %v, %v, want a change", name, changed, err)
		}
		if faults := validation.IsDNS1123Subdomain(string(next[token])); len(faults) > 0 || len(next[token]) < 26 {
			t.Errorf("the token after %s is %q: %v", name, next[token], faults)
		}
		if !bytes.Equal(next[corev1.TLSCertKey], m[corev1.TLSCertKey]) {
			t.Errorf("with %s, the certificate was also recreated", name)
		}
	}
	if other := made(t); bytes.Equal(other[token], original[token]) {
		t.Error("two new tokens are the same")
	}
}

func TestRenewed_RecreatesInvalidParts(t *testing.T) {
	t.Parallel()
	original := made(t)
	for name, tt := range map[string]struct {
		change func(material)
		names  []string
		after  time.Duration
		newCA  bool
	}{
		"the certificate is about to expire":     {after: certLife - renewAhead + time.Minute},
		"everything expired during a sleep":      {after: 2 * caLife, newCA: true},
		"the CA is about to expire":              {after: caLife - renewAhead + time.Minute, newCA: true},
		"the certificate is gone":                {change: func(m material) { delete(m, corev1.TLSCertKey) }},
		"the key belongs to another certificate": {change: func(m material) { m[corev1.TLSPrivateKeyKey] = m[caPrivateKey] }},
		"the CA is broken":                       {change: func(m material) { m[caCert] = []byte("x") }, newCA: true},
		"the CA's key is gone":                   {change: func(m material) { delete(m, caPrivateKey) }, newCA: true},
		"the Service has another name now":       {names: []string{"other.default.svc"}},
		"the certificate is not yet valid":       {change: func(m material) { m[corev1.TLSCertKey], m[corev1.TLSPrivateKeyKey] = ahead(m) }},
		"the CA is not yet valid":                {after: -20 * 24 * time.Hour, newCA: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, at := maps.Clone(original), start().Add(tt.after)
			if tt.change != nil {
				tt.change(m)
			}
			wanted := tt.names
			if wanted == nil {
				wanted = names()
			}
			next, changed, err := m.renewed(wanted, at)
			if err != nil || !changed {
				t.Fatalf("renewed: %v, %v, want a change", changed, err)
			}
			if got := !bytes.Equal(next[caCert], m[caCert]); got != tt.newCA {
				t.Errorf("the CA is new: %v, want %v", got, tt.newCA)
			}
			if !bytes.Equal(next[token], m[token]) {
				t.Error("the token is new, want the published one")
			}
			if !next.servesAll(wanted, at) {
				t.Error("the new certificate is not valid for all names")
			}
			if _, err := next.keyPair(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBundle_TrustsCertificatesOfOldAndNewCA(t *testing.T) {
	t.Parallel()
	before := made(t)
	at := start().Add(caLife - renewAhead + time.Minute)
	after, _, err := before.renewed(names(), at)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(after.bundle(before[caCert], at))
	for name, cert := range map[string][]byte{
		"old CA": before[caCert], "new CA": after[caCert], "new certificate": after[corev1.TLSCertKey],
	} {
		parsed, err := parse(cert)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsed.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at}); err != nil {
			t.Errorf("the %s is not trusted: %v", name, err)
		}
	}
	if got, want := after.bundle(before[caCert], start().Add(caLife+time.Minute)), after[caCert]; !bytes.Equal(got, want) {
		t.Error("the bundle contains an expired CA")
	}
}

func TestBundle_ListsTheLastCAsNewestFirst(t *testing.T) {
	t.Parallel()
	var bundle []byte
	var cas [][]byte
	for range maxCAs + 1 {
		m := made(t)
		cas = append([][]byte{m[caCert]}, cas...)
		bundle = m.bundle(bundle, start())
		if again := m.bundle(bundle, start()); !bytes.Equal(again, bundle) {
			t.Error("publishing the same CA again changes the bundle")
		}
	}
	if want := bytes.Join(cas[:maxCAs], nil); !bytes.Equal(bundle, want) {
		t.Errorf("the bundle is\n%s\nwant\n%s", bundle, want)
	}
	if got, want := made(t).bundle([]byte("not PEM"), start()), 1; bytes.Count(got, []byte("BEGIN")) != want {
		t.Errorf("the bundle for an existing bundle that is not PEM is\n%s", got)
	}
}

func TestGetCertificate_FailsWithoutACertificate(t *testing.T) {
	t.Parallel()
	keeper := &Keeper{}
	if _, err := keeper.GetCertificate(nil); err == nil {
		t.Error("GetCertificate before the first certificate succeeds")
	}
	if err := keeper.Ready(nil); err == nil {
		t.Error("Ready before the first certificate succeeds")
	}
}
