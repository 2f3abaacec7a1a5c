// Life of a TLS connection, for the tests. `server` makes its own certificate, prints SERVING ADDRESS and counts requests by
// the client's port (/counts, HTTP/1.1); `/bytes/N` answers N bytes, `/tick/MS` answers everybody at once on the next
// multiple of MS milliseconds. `steady URL INTERVAL_MS [CONNECTIONS]` opens a stream each time and never gives one up; of several
// connections each has an interval half as long again as that of the one before. `load URL CONNECTIONS
// STREAMS REQUESTS` keeps so many streams busy and prints how many requests it made in a second.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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
	switch os.Args[1] {
	case "server":
		serve()
	case "steady":
		interval := time.Duration(number(os.Args[3])) * time.Millisecond
		if len(os.Args) > 4 {
			for i := 1; i < number(os.Args[4]); i++ {
				go steady(os.Args[2], interval)
				interval = interval * 3 / 2
			}
		}
		steady(os.Args[2], interval)
	case "load":
		load(os.Args[2], number(os.Args[3]), number(os.Args[4]), number(os.Args[5]))
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	check(err)
	return n
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
		Subject:      pkix.Name{CommonName: "localhost"},
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func serve() {
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
		behind := func(prefix string) int {
			n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, prefix))
			return n
		}
		if strings.HasPrefix(r.URL.Path, "/tick/") {
			tick := time.Duration(behind("/tick/")) * time.Millisecond
			now := time.Now()
			time.Sleep(now.Truncate(tick).Add(tick).Sub(now))
		}
		io.WriteString(w, strings.Repeat("x", behind("/bytes/")))
	})
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	server := &http.Server{Handler: mux, TLSConfig: config}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("SERVING", listener.Addr())
	check(server.ServeTLS(listener, "", ""))
}

func steady(url string, interval time.Duration) {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
	}
	client := &http.Client{Transport: transport}
	ask := func() {
		response, err := client.Get(url)
		check(err)
		_, err = io.Copy(io.Discard, response.Body)
		check(err)
		response.Body.Close()
	}
	// The others join its connection.
	ask()
	for range time.Tick(interval) {
		go ask()
	}
}

func load(url string, connections int, streams int, requests int) {
	var workers sync.WaitGroup
	left := make(chan struct{}, requests)
	for i := 0; i < requests; i++ {
		left <- struct{}{}
	}
	close(left)
	ask := func(client *http.Client) {
		response, err := client.Get(url)
		check(err)
		_, err = io.Copy(io.Discard, response.Body)
		check(err)
		response.Body.Close()
	}
	var clients []*http.Client
	for i := 0; i < connections; i++ {
		clients = append(clients, &http.Client{Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			ForceAttemptHTTP2: true,
		}})
		// The others join its connection.
		ask(clients[i])
	}
	started := time.Now()
	for _, client := range clients {
		for j := 0; j < streams; j++ {
			workers.Add(1)
			go func(client *http.Client) {
				defer workers.Done()
				for range left {
					ask(client)
				}
			}(client)
		}
	}
	workers.Wait()
	fmt.Println("RATE", float64(requests)/time.Since(started).Seconds())
}
