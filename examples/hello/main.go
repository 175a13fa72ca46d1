// Command hello is a small service for trying out the registry. It answers every request with one line. "hello --once" prints
// a similar line and exits, so it can run as an init container.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	greeting := os.Getenv("GREETING")
	if greeting == "" {
		greeting = "hello"
	}
	host, _ := os.Hostname() // an empty name is fine
	if len(os.Args) > 1 && os.Args[1] == "--once" {
		fmt.Printf("%s once from %s\n", greeting, host)
		return
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "%s from %s\n", greeting, host)
	})
	server := &http.Server{Addr: ":8080", Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
