package pusher_test

import (
	"crypto/tls"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
)

func TestServer_AcceptsOnlyClientsOfItsCA(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	bare, err := pusher.ClientTLS(e.credentials.CA, e.credentials.ClientCert, e.credentials.ClientKey)
	if err != nil {
		t.Fatalf("ClientTLS: %v", err)
	}
	bare.Certificates = nil
	asServer := e.credentials
	asServer.ClientCert, asServer.ClientKey = asServer.ServerCert, asServer.ServerKey
	old, err := pusher.ClientTLS(e.credentials.CA, e.credentials.ClientCert, e.credentials.ClientKey)
	if err != nil {
		t.Fatalf("ClientTLS: %v", err)
	}
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, client := range map[string]*pusher.Client{
		"without a certificate":            newClient(t, e.address, bare),
		"with a certificate of another CA": e.client(t, newCredentials(t)),
		"with the server's certificate":    e.client(t, asServer),
		"with TLS 1.2":                     newClient(t, e.address, old),
	} {
		if _, err := client.Lookup(t.Context(), rewritetest.Name(t, "a")); err == nil || !strings.Contains(err.Error(), "tls: ") {
			t.Errorf("a client %s: error %v, want a TLS error", name, err)
		}
	}
	if _, err := e.client(t, e.credentials).Lookup(t.Context(), rewritetest.Name(t, "a")); err != nil {
		t.Errorf("a client with its certificate: %v", err)
	}
}

func TestClient_TrustsOnlyItsServer(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	foreign := newCredentials(t)
	security, err := pusher.ClientTLS(foreign.CA, e.credentials.ClientCert, e.credentials.ClientKey)
	if err != nil {
		t.Fatalf("ClientTLS: %v", err)
	}
	if _, err := newClient(t, e.address, security).Lookup(t.Context(), rewritetest.Name(t, "a")); err == nil {
		t.Error("Lookup at a server of another CA: no error")
	}
}

func TestClient_GetsErrorsThatAreNoRefusals(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.engine.Tag("docker.io/a/b:1", dockertest.NewImage("a", dockertest.Noise(100_000, 1)))
	e.engine.Truncate(50_000)
	_, err := e.client(t, e.credentials).Push(t.Context(), "a/b:1", nil)
	if err == nil || rewrite.ReasonOf(err) != "" || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("Push of a stream that breaks off = %v, want an unexpected EOF that is no Refusal", err)
	}
}

func TestServer_ReportsProgressAndLogsPushes(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Noise(100_000, 1))
	e.engine.Tag("docker.io/a/b:1", image)
	reports := 0
	result, err := e.client(t, e.credentials).Push(t.Context(), "a/b:1", func(push.Progress) { reports++ })
	if err != nil {
		t.Fatalf("Push: %v", err)
	}
	if reports == 0 {
		t.Error("no progress was reported")
	}
	type line struct {
		Message string `json:"msg"`
		Image   string `json:"image"`
		Digest  string `json:"digest"`
		Bytes   int64  `json:"bytes"`
	}
	want := []line{
		{Message: "pushing image", Image: "a/b:1", Bytes: image.Size()},
		{Message: "image pushed", Image: "a/b:1", Digest: result.Digest.String(), Bytes: image.Size() + image.Config.Size},
	}
	var got []line
	for text := range strings.Lines(e.log.String()) {
		var logged line
		if err := json.Unmarshal([]byte(text), &logged); err != nil {
			t.Fatalf("invalid line %q in the log: %v", text, err)
		}
		got = append(got, logged)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}

func TestServer_RefusesLargeRequests(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	_, err := e.client(t, e.credentials).Push(t.Context(), strings.Repeat("a", 1<<20), nil)
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("Push of a name of 1 MiB = %v, want an error that it is too large", err)
	}
}

func TestLoadServerTLS_NamesEveryMissingFile(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	_, err := pusher.LoadServerTLS(directory)
	for _, name := range []string{pusher.CAFile, pusher.ServerCertFile, pusher.ServerKeyFile} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("LoadServerTLS without files = %v, want an error with %s", err, name)
		}
	}
	for name, content := range newCredentials(t).Files() {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pusher.LoadServerTLS(directory); err != nil {
		t.Errorf("LoadServerTLS: %v", err)
	}
}

func TestCredentials_CheckFindsEveryFault(t *testing.T) {
	t.Parallel()
	now := time.Now()
	valid, other := newCredentials(t), newCredentials(t)
	mixed, keyless := valid, valid
	mixed.ClientCert, mixed.ClientKey = other.ClientCert, other.ClientKey
	keyless.ServerKey = other.ServerKey
	for name, test := range map[string]struct {
		credentials pusher.Credentials
		at          time.Time
		valid       bool
	}{
		"valid":                          {valid, now, true},
		"an hour's skew":                 {valid, now.Add(-59 * time.Minute), true},
		"valid in nine years":            {valid, now.AddDate(9, 0, 0), true},
		"expired in eleven years":        {valid, now.AddDate(11, 0, 0), false},
		"not yet valid":                  {valid, now.AddDate(0, 0, -1), false},
		"a client of another CA":         {mixed, now, false},
		"the key of another certificate": {keyless, now, false},
		"empty":                          {pusher.Credentials{}, now, false},
	} {
		if err := test.credentials.Check(test.at); (err == nil) != test.valid {
			t.Errorf("%s: Check = %v, want valid = %t", name, err, test.valid)
		}
	}
}

func TestCredentials_FilesHaveEveryPart(t *testing.T) {
	t.Parallel()
	check := func(files map[string][]byte) error {
		return pusher.Credentials{
			CA:         files[pusher.CAFile],
			ServerCert: files[pusher.ServerCertFile], ServerKey: files[pusher.ServerKeyFile],
			ClientCert: files[pusher.ClientCertFile], ClientKey: files[pusher.ClientKeyFile],
		}.Check(time.Now())
	}
	files := newCredentials(t).Files()
	if err := check(files); err != nil {
		t.Errorf("Check of the files: %v", err)
	}
	for name := range files {
		others := maps.Clone(files)
		delete(others, name)
		if check(others) == nil {
			t.Errorf("Check of the files without %s: no error", name)
		}
	}
}
