package registry

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// attempt describes a request to a registry whose gateways are 172.18.0.1 and fc00::1, and which allows writes from 10.0.0.0/8.
type attempt struct {
	method, host, from, origin string
	socket                     bool // whether the request comes through a Unix socket
}

// response returns the guard's response. Its status is 204 if the guard lets the request through.
func (a attempt) response(t *testing.T) *httptest.ResponseRecorder {
	t.Helper()
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	g := newGuard(next, Config{WriteFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Hosts: []string{"Registry.example"}})
	g.gateways = func() []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("172.18.0.1"), netip.MustParseAddr("fc00::1")}
	}
	ctx := t.Context()
	if a.socket {
		ctx = context.WithValue(ctx, http.LocalAddrContextKey, &net.UnixAddr{Name: "/x", Net: "unix"})
	}
	request := httptest.NewRequestWithContext(ctx, a.method, "/v2/a/blobs/uploads/", nil)
	request.Host, request.RemoteAddr = a.host, a.from
	if a.origin != "" {
		request.Header.Set("Origin", a.origin)
	}
	answer := httptest.NewRecorder()
	g.ServeHTTP(answer, request)
	return answer
}

func TestGuard_AllowsWritesOnlyFromHost(t *testing.T) {
	t.Parallel()
	for from, allowed := range map[string]bool{
		"172.18.0.1:4000": true, "[::ffff:172.18.0.1]:4000": true, "[fc00::1]:4000": true,
		"127.0.0.1:4000": true, "[::1]:4000": true, "10.1.2.3:4000": true,
		"172.18.0.2:4000": false, "[fc00::2]:4000": false, "192.0.2.9:4000": false, "@": false, "": false,
	} {
		for method, changes := range map[string]bool{
			"GET": false, "HEAD": false, "OPTIONS": false,
			"POST": true, "PUT": true, "PATCH": true, "DELETE": true, "TRACE": true, "ODD": true,
		} {
			answer := attempt{method: method, host: "kind-registry:5000", from: from}.response(t)
			want := http.StatusNoContent
			if changes && !allowed {
				want = http.StatusForbidden
			}
			if answer.Code != want {
				t.Errorf("%s from %q: status %d, want %d", method, from, answer.Code, want)
			}
		}
	}
	if answer := (attempt{method: "PUT", host: "localhost", from: "@", socket: true}).response(t); answer.Code != http.StatusNoContent {
		t.Errorf("PUT through a Unix socket: status %d, want %d", answer.Code, http.StatusNoContent)
	}
}

func TestGuard_TellsPodsToPushFromHost(t *testing.T) {
	t.Parallel()
	answer := attempt{method: "PUT", host: "kind-registry:5000", from: "172.18.0.2:4000"}.response(t)
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || len(body.Errors) != 1 {
		t.Fatalf("response = %s (error %v), want one error", answer.Body, err)
	}
	if got := body.Errors[0]; got.Code != "DENIED" || !strings.Contains(got.Message, "push from the host") {
		t.Errorf("error = %+v, want DENIED and \"push from the host\"", got)
	}
}

func TestGuard_RefusesForeignHostHeaders(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]int{
		"localhost": http.StatusNoContent, "localhost:5001": http.StatusNoContent, "LOCALHOST.:5001": http.StatusNoContent,
		"registry.localhost:5001": http.StatusNoContent, "kind-registry:5000": http.StatusNoContent,
		"host.docker.internal:5001": http.StatusNoContent, "registry.example:80": http.StatusNoContent,
		"127.0.0.1:5001": http.StatusNoContent, "[::1]:5001": http.StatusNoContent, "[::1]": http.StatusNoContent,
		"172.18.255.253": http.StatusNoContent,
		"":               http.StatusMisdirectedRequest, "attacker.example:5001": http.StatusMisdirectedRequest,
		"kind-registry.attacker.example": http.StatusMisdirectedRequest, "127.0.0.1.attacker.example": http.StatusMisdirectedRequest,
		"notlocalhost": http.StatusMisdirectedRequest, "localhost.attacker.example": http.StatusMisdirectedRequest,
	} {
		for _, method := range []string{"GET", "POST"} {
			if answer := (attempt{method: method, host: host, from: "127.0.0.1:4000"}).response(t); answer.Code != want {
				t.Errorf("%s with Host %q: status %d, want %d", method, host, answer.Code, want)
			}
		}
	}
}

func TestGuard_RefusesWritesByWebPages(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]int{
		"http://attacker.example": http.StatusForbidden, "http://localhost:3000": http.StatusForbidden, "null": http.StatusForbidden,
		"http://localhost:5001": http.StatusNoContent, "": http.StatusNoContent,
	} {
		answer := attempt{method: "POST", host: "localhost:5001", from: "172.18.0.1:4000", origin: origin}.response(t)
		if answer.Code != want {
			t.Errorf("POST from a page of %q: status %d, want %d", origin, answer.Code, want)
		}
	}
}
