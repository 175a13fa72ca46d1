package bundle

import (
	"bytes"
	"regexp"
)

// Redacted replaces a secret.
const Redacted = "<redacted>"

// secretName matches the name of a setting whose value is secret: in TOML, JSON, YAML, a URL's query, an environment variable or a
// flag. auth must be the whole last word, because authority and author are not secret.
const secretName = `[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key)[\w.-]*` +
	`|[\w.-]*signature[\w.-]*|(?:[\w.-]*[_.-])?(?:auth|pwd)|[\w-]*authorization|x-registry-auth|(?:set-)?cookie|client-key-data`

// setting begins the group that matches the name of a secret setting.
const setting = `(?i)((?:\b|_)(?:` + secretName + `)`

// rule replaces what a pattern matches.
type rule struct {
	pattern     *regexp.Regexp
	replacement string
}

// rules are applied in order.
var rules = []rule{
	// PEM, with real or escaped line breaks. A tail of a log may contain only the beginning of a key.
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`), Redacted},
	// The same in base64, as in a kubeconfig. The characters are those of "-----BEGIN " and then of the types of private keys.
	{regexp.MustCompile(`LS0tLS1CRUdJTi(?:BQUklWQVRF|BFQyBQUklWQVRF|BSU0EgUFJJVkFUR|BFTkNSWVBURU|BPUEVOU1NI)[A-Za-z0-9+/]*=*`), Redacted},
	// The user and the password of a proxy. The URL may lack its scheme, and its special characters need not be escaped.
	{
		regexp.MustCompile(`(?i)((?:https?|all|ftp)_?proxy\\?["']?[ \t]*[:=][ \t]*\\?["']?(?:[a-z][a-z0-9+.-]*:/{2})?)[^\s"]*@`),
		"${1}" + Redacted + "@",
	},
	// The user and the password in any other URL. A password may contain @, but no slash.
	{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*:/{2})[^/\s"'<>]+@`), "${1}" + Redacted + "@"},
	// The scheme and the credentials of an Authorization header, anywhere.
	{regexp.MustCompile(`(?i)\b(bearer|basic|digest|negotiate)([ :]+)[A-Za-z0-9._~+/-]{6,}=*`), "${1}${2}" + Redacted},
	// JSON Web Tokens (RFC 7519), such as those of ServiceAccounts.
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), Redacted},
	// An HTTP header with all its values, as Go prints it: Authorization:[Basic …].
	{regexp.MustCompile(`(?i)(\b(?:` + secretName + `)\\?["']?\s*[:=]\s*)\[[^\]\n]*\]`), "${1}" + Redacted},
	// A setting in quotes, which may be escaped, as in a log of JSON lines.
	{
		regexp.MustCompile(setting + `\\?["']?\s*[:=]\s*)(?:\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'[^']*')`),
		"${1}\"" + Redacted + "\"",
	},
	// A setting without quotes. Its value ends with the line if a space follows the separator, as in YAML and in a header.
	{regexp.MustCompile(setting + `["']?:[ \t]+)[^\s"'\[{<|>&*][^\n"]*`), "${1}" + Redacted},
	{regexp.MustCompile(setting + `["']?(?:[:=]|[ \t]+=[ \t]*))[^\s"'\[{<,;&\\][^\s"',;&\\]*`), "${1}" + Redacted},
}

// Redactor removes secrets from text.
type Redactor struct {
	known [][]byte
}

// NewRedactor returns a Redactor that also removes the known secrets, wherever they are. Short ones are ignored, because they are
// parts of other words.
func NewRedactor(known ...string) *Redactor {
	r := &Redactor{}
	for _, secret := range known {
		if len(secret) >= 8 {
			r.known = append(r.known, []byte(secret))
		}
	}
	return r
}

// Redact returns the text without secrets.
func (r *Redactor) Redact(text []byte) []byte {
	for _, secret := range r.known {
		text = bytes.ReplaceAll(text, secret, []byte(Redacted))
	}
	for _, rule := range rules {
		text = rule.pattern.ReplaceAll(text, []byte(rule.replacement))
	}
	return text
}

// harmless are the environment variables whose values help and are not secret. Other values are omitted, whatever their name.
var harmless = map[string]bool{
	"PATH": true, "GOMEMLIMIT": true, "KUBECONFIG": true, "container": true, "KIND_EXPERIMENTAL_CONTAINERD_SNAPSHOTTER": true,
	"KIND_LOCAL_REGISTRY_LINK": true, "KIND_LOCAL_REGISTRY_RULES": true, "OTEL_TRACES_EXPORTER": true,
	"HTTP_PROXY": true, "HTTPS_PROXY": true, "NO_PROXY": true, "http_proxy": true, "https_proxy": true, "no_proxy": true,
}

// Variable returns the value of an environment variable, unless it may be secret.
func Variable(name, value string) string {
	if harmless[name] {
		return value
	}
	return Redacted
}
