package bundle

import (
	"strings"
	"testing"
)

const planted = "S3cr3tV4lue"

func TestRedact_RemovesSecretsInEveryForm(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"URL":                    "pulling http://me:" + planted + "@proxy.example:3128/x",
		"URL with @ in password": "http://me:p@" + planted + "@proxy.example/x",
		"URL with user only":     "https://" + planted + "@github.com/x",
		"proxy without scheme":   "HTTP_PROXY=me:" + planted + "@proxy.example:3128",
		"proxy in a unit":        "Environment=\"HTTPS_PROXY=http://me:it's" + planted + "@proxy.example:3128\" \"NO_PROXY=10.0.0.0/8\"",
		"proxy with slash":       "all_proxy=socks5://me:a/" + planted + "@proxy.example",
		"proxy in JSON":          `{"httpProxy": "me:` + planted + `@proxy.example:3128"}`,
		"URL's query":            "GET /v2/token?service=x&access_token=" + planted + "&scope=y",
		"header":                 "Authorization: Basic " + planted + "==",
		"header in Go's format":  "map[Accept:[*/*] Authorization:[Bearer " + planted + "]]",
		"header in JSON":         `{"headers":{"Proxy-Authorization":"Basic ` + planted + `"}}`,
		"Docker's header":        "X-Registry-Auth: " + planted,
		"cookie":                 "Set-Cookie: session=" + planted + "; Path=/",
		"bearer":                 `error="unauthorized: bearer ` + planted + `"`,
		"JSON Web Token":         "using eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0." + planted,
		"docker config":          `{"auths":{"reg.example":{"auth":"` + planted + `","identitytoken":"` + planted + `"}}}`,
		"escaped JSON":           `{"log":"{\"password\":\"` + planted + `\",\"x\":1}\n"}`,
		"TOML":                   "[plugins.x.registry.configs.'reg'.auth]\n  username = \"me\"\n  password = \"" + planted + "\"\n",
		"TOML auth":              "auth = '" + planted + "'",
		"TOML table in a line":   `auth = {username = "me", password = "` + planted + `"}`,
		"YAML":                   "env:\n- dbPassword: " + planted + " and more\n",
		"YAML in quotes":         "client-secret: \"a\\\"" + planted + "\"\n",
		"environment variable":   "AWS_SECRET_ACCESS_KEY=" + planted + " GITHUB_TOKEN=" + planted,
		"flag":                   "curl --api-key=" + planted + " --password=" + planted,
		"kubeconfig":             "    client-key-data: LS0tLS1CRUdJTi" + planted + "\n",
		"key in base64":          "key LS0tLS1CRUdJTiBFQyBQUklWQVRF" + planted + "==",
		"key":                    "-----BEGIN EC PRIVATE KEY-----\n" + planted + "\n-----END EC PRIVATE KEY-----\n",
		"key in JSON":            `{"k":"-----BEGIN PRIVATE KEY-----\n` + planted + `\n-----END PRIVATE KEY-----\n"}`,
		"key that is cut off":    "-----BEGIN RSA PRIVATE KEY-----\n" + planted + "\n",
	} {
		if got := string(NewRedactor().Redact([]byte(text))); strings.Contains(got, planted) || !strings.Contains(got, Redacted) {
			t.Errorf("%s: Redact(%q) = %q, want it without %s", name, text, got, planted)
		}
	}
}

func TestRedact_KeepsWhatHelps(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"level":"info","msg":"image decided","image":"example/hello:local","reason":"Rewritten","digest":"sha256:661fbdd1e400"}`,
		`{"msg":"certificate authority and path published"}`,
		"server = \"http://kind-registry:5000\"\n\n[host.\"http://kind-registry:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
		"caBundle: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUI=\n",
		`x509: certificate signed by unknown authority, author: someone`,
		"config_path = \"/etc/containerd/certs.d\"\nNO_PROXY=10.0.0.0/8,.svc",
		"HTTP_PROXY=http://proxy.example:3128\nHTTPS_PROXY=proxy.example:3128 NO_PROXY=.svc me@example.com",
		"user e2e@example.com pulled localhost:5001/app@sha256:661f",
	} {
		if got := string(NewRedactor().Redact([]byte(text))); got != text {
			t.Errorf("Redact(%q) = %q, want it unchanged", text, got)
		}
	}
}

func TestRedact_RemovesKnownSecretsAnywhere(t *testing.T) {
	t.Parallel()
	got := string(NewRedactor(planted, "", "a").Redact([]byte("POST /mutate/" + planted + "?timeout=5s a")))
	if want := "POST /mutate/" + Redacted + "?timeout=5s a"; got != want {
		t.Errorf("Redact = %q, want %q", got, want)
	}
}

func TestVariable_ReturnsOnlyHarmlessValues(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"PATH": "x", "NO_PROXY": "x", "DATABASE": Redacted, "GITHUB_TOKEN": Redacted} {
		if got := Variable(name, "x"); got != want {
			t.Errorf("Variable(%s) = %q, want %q", name, got, want)
		}
	}
}
