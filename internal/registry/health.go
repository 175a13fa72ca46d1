package registry

import (
	"fmt"
	"net/http"
	"os"
)

// healthz responds with status 200 if a file can be written to root and read back, otherwise with status 503 and the cause.
func healthz(root string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := probe(root); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
}

// probe writes a file to the directory, reads it back and removes it.
func probe(directory string) error {
	file, err := os.CreateTemp(directory, ".healthz-*")
	if err != nil {
		return fmt.Errorf("probing the storage: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString("ok")
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		_, err = os.ReadFile(file.Name())
	}
	if err != nil {
		return fmt.Errorf("probing the storage: %w", err)
	}
	return nil
}
