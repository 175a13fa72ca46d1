package httpserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"kind-local-registry/internal/httpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestUntil_FinishesRequestInProgress(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		end() // during this request
		_, _ = io.WriteString(w, "in full")
	})}
	listener, served := listen(t), make(chan error, 1)
	go func() { served <- httpserver.Until(ctx, server, listener) }()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil || string(body) != "in full" {
		t.Errorf("body = %q, %v, want %q", body, err, "in full")
	}
	if err := <-served; err != nil {
		t.Errorf("Until = %v after its context has ended, want nil", err)
	}
}

func TestUntil_ReturnsErrorIfListenerIsClosed(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := httpserver.Until(t.Context(), &http.Server{}, listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Until = %v, want %v", err, net.ErrClosed)
	}
}
