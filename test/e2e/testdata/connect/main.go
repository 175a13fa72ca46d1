// Command connect keeps connections to a TLS server open. Half of them are idle, and half have sent a request whose body never
// arrives. Its arguments are the server's host:port and the number of connections. It prints this number and runs until it is
// killed.
package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	server := os.Args[1]
	number, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	connections := make([]net.Conn, number)
	open := func(i int) {
		connections[i], err = tls.Dial("tcp", server, &tls.Config{InsecureSkipVerify: true}) // #nosec G402 -- an attacker does not know the CA
		if err == nil && i%2 == 0 {
			_, _ = fmt.Fprintf(connections[i], "POST /pods HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
		}
	}
	for i := range connections {
		open(i)
	}
	fmt.Println("connected", number, err)
	for { // reopen connections that the server closes
		for i, c := range connections {
			if c == nil {
				open(i)
				continue
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); err != nil && !os.IsTimeout(err) {
				_ = c.Close()
				open(i)
			}
		}
	}
}
