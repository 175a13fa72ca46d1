package registry_test

import (
	"bytes"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"kind-local-registry/internal/registry"
	"kind-local-registry/internal/registry/registrytest"
)

// openUpload opens an upload to the repository a/b and returns the upload's location.
func openUpload(t *testing.T, base string) *url.URL {
	t.Helper()
	status, text := request(t, http.MethodPost, base+"/v2/a/b/blobs/uploads/", nil)
	location, err := url.Parse(text)
	if status != http.StatusAccepted || err != nil {
		t.Fatalf("opening an upload: status %d at %q", status, text)
	}
	return location
}

// wantNoUploads fails the test if any file of an upload remains.
func wantNoUploads(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.Contains(path, "/_uploads/") {
			t.Errorf("file %s of an upload remains", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNew_RemovesInterruptedUpload(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"PUT with a length": "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n",
		"PATCH in chunks":   "PATCH %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1E8480\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			handler, err := registry.New(t.Context(), registry.Config{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			begun := make(chan struct{}, 2)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				begun <- struct{}{}
				handler.ServeHTTP(w, r)
			}))
			defer server.Close()
			location := openUpload(t, server.URL)
			<-begun
			query := location.Query()
			query.Set("digest", "sha256:"+strings.Repeat("0", 64))
			location.RawQuery = query.Encode()
			connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			content := strings.Replace(head, "%s", location.RequestURI(), 1) + strings.Repeat("x", 1_000_000)
			if _, err := io.WriteString(connection, content); err != nil {
				t.Fatal(err)
			}
			<-begun
			if err := connection.Close(); err != nil {
				t.Fatal(err)
			}
			server.Close() // waits until the request has ended
			wantNoUploads(t, root)
		})
	}
}

func TestNew_RemovesUploadsOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	location := openUpload(t, registrytest.Start(t, root))
	if status, _ := request(t, http.MethodPatch, location.String(), bytes.NewReader(make([]byte, 1000))); status != http.StatusAccepted {
		t.Fatalf("PATCH: status %d, want %d", status, http.StatusAccepted)
	}
	registrytest.Start(t, root)
	wantNoUploads(t, root)
}
