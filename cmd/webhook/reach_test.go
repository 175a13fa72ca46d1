package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReach_FailsUnlessTheServerAnswersOK(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	var out bytes.Buffer
	if err := reach(t.Context(), server.URL+"/v2/", &out); err != nil || out.String() != server.URL+"/v2/ answers\n" {
		t.Errorf("reach = %v, prints %q; want success", err, &out)
	}
	if err := reach(t.Context(), server.URL+"/other", &out); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("reach = %v, want an error with the status", err)
	}
	server.Close()
	if err := reach(t.Context(), server.URL+"/v2/", &out); err == nil {
		t.Error("reach succeeds without a server")
	}
}
