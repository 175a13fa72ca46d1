// Command request sends a request for each argument METHOD=URL, and prints the request's method and status on one line.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	for _, argument := range os.Args[1:] {
		method, url, _ := strings.Cut(argument, "=")
		request, err := http.NewRequest(method, url, strings.NewReader(""))
		if err != nil {
			fmt.Println(method, err)
			continue
		}
		request.Header.Set("Accept", "*/*")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Println(method, err)
			continue
		}
		_ = response.Body.Close()
		fmt.Println(method, response.StatusCode)
	}
}
