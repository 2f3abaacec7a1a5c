// TLS for the tests: `server [1.1] [tls12]` makes its own certificate, prints SERVING ADDRESS and counts requests by the
// client's port (/counts); `client URL CONNECTIONS [PAUSE_MS]` makes 1, 2, 3 .. requests on them, so that each has its own
// number.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	if os.Args[1] == "server" {
		serve(os.Args[2:])
		return
	}
	connections, err := strconv.Atoi(os.Args[3])
	check(err)
	pause := 0
	if len(os.Args) > 4 {
		pause, err = strconv.Atoi(os.Args[4])
		check(err)
	}
	ask(os.Args[2], connections, time.Duration(pause)*time.Millisecond)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func serve(options []string) {
	var lock sync.Mutex
	counts := map[string]int{}
	mux := http.NewServeMux()
	mux.HandleFunc("/counts", func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		json.NewEncoder(w).Encode(counts)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, port, _ := net.SplitHostPort(r.RemoteAddr)
		lock.Lock()
		counts[port]++
		lock.Unlock()
		io.Copy(io.Discard, r.Body)
		size, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/bytes/"))
		io.WriteString(w, strings.Repeat("x", size))
	})
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	server := &http.Server{Handler: mux, TLSConfig: config}
	for _, option := range options {
		switch option {
		case "1.1":
			server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		case "tls12":
			config.MaxVersion = tls.VersionTLS12
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("SERVING", listener.Addr())
	check(server.ServeTLS(listener, "", ""))
}

func ask(url string, connections int, pause time.Duration) {
	var workers sync.WaitGroup
	for i := 1; i <= connections; i++ {
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			ForceAttemptHTTP2: true,
		}
		workers.Add(1)
		go func(requests int) {
			defer workers.Done()
			client := &http.Client{Transport: transport}
			for n := 0; n < requests; n++ {
				response, err := client.Get(url)
				check(err)
				_, err = io.Copy(io.Discard, response.Body)
				check(err)
				response.Body.Close()
				time.Sleep(pause)
			}
			transport.CloseIdleConnections()
		}(i)
	}
	workers.Wait()
}
