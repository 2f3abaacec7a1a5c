package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// serve runs until its stdin ends. It prints the address of the link once everything listens.
func serve(arguments []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	control := flags.String("control", "", "path of the UNIX socket that takes `unplug` lines")
	authority := flags.String("authority", "", "where to write the server's certificate (PEM)")
	http1 := flags.Bool("http1", false, "offer HTTP/1.1 only")
	h2c := flags.Bool("h2c", false, "HTTP/2 without TLS")
	first := flags.Int("first", -1, "unplug by itself: before it answers this request; -1: only when it is asked to")
	every := flags.Int("every", 1000, "further unplugs follow after this many requests")
	delay := flags.Duration("delay", 0, "wait this long before each answer")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	unplugger := &unplugger{first: *first, every: *every}
	server, err := listen(*authority, *http1, *h2c, *delay, unplugger)
	if err != nil {
		return err
	}
	link, err := newLink(server)
	if err != nil {
		return err
	}
	unplugger.link.Store(link)
	if err := listenControl(*control, link); err != nil {
		return err
	}
	fmt.Printf("%s\n", link.address())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// listen starts the server and returns its address.
func listen(authority string, http1, h2c bool, delay time.Duration, unplugger *unplugger) (string, error) {
	certificate, pem, err := newCertificate()
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(authority, pem, 0o600); err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer unplugger.began()()
			io.Copy(io.Discard, r.Body)
			time.Sleep(delay)
			io.WriteString(w, "ok\n")
		}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		// Clients that are reset in the handshake are part of the experiment, not news.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	if http1 {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	if h2c {
		if err := cleartextServer(server); err != nil {
			return "", err
		}
		go server.Serve(listener)
		return listener.Addr().String(), nil
	}
	go server.ServeTLS(listener, "", "")
	return listener.Addr().String(), nil
}

// listenControl answers each `unplug` line with the client addresses of the connections that were unplugged.
func listenControl(path string, link *link) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if lines.Text() == "unplug" {
						fmt.Fprintln(conn, strings.Join(link.unplug(), " "))
					}
				}
			}()
		}
	}()
	return nil
}
