// Go's client over TLS: exact ORIGIN CONNECTIONS STREAMS. Connection i opens STREAMS + i streams, four at a time, and cancels
// some of them after their response headers (RST_STREAM). With `upload` for STREAMS, connection i sends a megabyte and i
// kilobytes, between small requests. With `wrapped` behind STREAMS its connections are in a type of their own. Prints, by its own port,
// how many it opened and cancelled.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
)

type count struct {
	Opened    int `json:"opened"`
	Cancelled int `json:"cancelled"`
}

var (
	lock   sync.Mutex
	counts = map[string]*count{}
)

func main() {
	connections, err := strconv.Atoi(os.Args[2])
	check(err)
	streams, err := strconv.Atoi(os.Args[3])
	if os.Args[3] != "upload" {
		check(err)
	}
	var all sync.WaitGroup
	for i := 0; i < connections; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			connection(os.Args[1], i, streams+i)
		}(i)
	}
	all.Wait()
	said, err := json.Marshal(counts)
	check(err)
	fmt.Println("CLIENT", string(said))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func connection(origin string, i, streams int) {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
	}
	if len(os.Args) > 4 && os.Args[4] == "wrapped" {
		transport.DialContext = dialWrapped
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	// Alone, so that there is one connection.
	exchange(client, "GET", origin+"/bytes/300", 0)
	if streams == i {
		for k := 0; k < i%5; k++ {
			exchange(client, "GET", origin+"/bytes/300", 0)
		}
		exchange(client, "POST", origin+"/bytes/300", 1000000+1000*i)
	} else {
		many(client, origin, i, streams)
	}
	// Alone again: with its end, everything has arrived.
	exchange(client, "GET", origin+"/bytes/300", 0)
}

// What is in it is no netFD.
type wrapped struct{ net.Conn }

func dialWrapped(ctx context.Context, network, address string) (net.Conn, error) {
	connected, err := new(net.Dialer).DialContext(ctx, network, address)
	return wrapped{connected}, err
}

// All streams but the first and the last.
func many(client *http.Client, origin string, i, streams int) {
	numbers := make(chan int)
	var workers sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for k := range numbers {
				if k%(4+i%3) == 0 {
					exchange(client, "GET", origin+"/headers", 0)
				} else {
					exchange(client, "GET", origin+"/bytes/300", 0)
				}
			}
		}()
	}
	for k := 1; k < streams-1; k++ {
		numbers <- k
	}
	close(numbers)
	workers.Wait()
}

// An answer that never ends is cancelled.
func exchange(client *http.Client, method, url string, upload int) {
	cancel := strings.HasSuffix(url, "/headers")
	request, err := http.NewRequest(method, url, bytes.NewReader(make([]byte, upload)))
	check(err)
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		_, port, err := net.SplitHostPort(got.Conn.LocalAddr().String())
		check(err)
		note(port, cancel)
	}}
	response, err := client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	check(err)
	if response.ProtoMajor != 2 {
		check(fmt.Errorf("not HTTP/2: %s", response.Proto))
	}
	if !cancel {
		_, err = io.Copy(io.Discard, response.Body)
		check(err)
	}
	check(response.Body.Close())
}

func note(port string, cancelled bool) {
	lock.Lock()
	defer lock.Unlock()
	if counts[port] == nil {
		counts[port] = new(count)
	}
	counts[port].Opened++
	if cancelled {
		counts[port].Cancelled++
	}
}
