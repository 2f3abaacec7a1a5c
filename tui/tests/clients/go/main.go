// A Go client without TLS: client URL REQUESTS PARALLEL. Prints how many requests succeeded over HTTP/2. With the first
// argument `caller`, `careless`, `front` or `marked` it is the one of the file of that name.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

func main() {
	switch os.Args[1] {
	case "caller":
		call(os.Args[2:])
		return
	case "careless":
		careless(os.Args[2], os.Args[3])
		return
	case "front":
		front(os.Args[2], os.Args[3])
		return
	case "marked":
		marked(os.Args[2])
		return
	}
	url := os.Args[1]
	requests, _ := strconv.Atoi(os.Args[2])
	parallel, _ := strconv.Atoi(os.Args[3])
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	var succeeded, next atomic.Int64
	var workers sync.WaitGroup
	for range parallel {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for i := next.Add(1); i <= int64(requests); i = next.Add(1) {
				if request(client, url, i) {
					succeeded.Add(1)
				}
			}
		}()
	}
	workers.Wait()
	client.CloseIdleConnections()
	fmt.Printf("CLIENT {\"succeeded\":%d}\n", succeeded.Load())
}

// Every fifth request is an upload, of a size that differs from request to request.
func request(client *http.Client, url string, i int64) bool {
	method, body := "GET", io.Reader(nil)
	if i%5 == 0 {
		method, body = "POST", strings.NewReader(strings.Repeat("x", int(i*37%50000)))
	}
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return false
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.ProtoMajor == 2
}
