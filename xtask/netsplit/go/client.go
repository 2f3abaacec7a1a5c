package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type options struct {
	address, authority, control string
	requests, first, every      int
	workers                     int
	timeout                     time.Duration
	http1, h2c, wait            bool
}

// client sends the requests and prints the result as JSON.
func client(arguments []string) error {
	var o options
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	flags.StringVar(&o.address, "address", "", "address of the link")
	flags.StringVar(&o.authority, "authority", "", "certificate that `netsplit serve` wrote")
	flags.StringVar(&o.control, "control", "", "UNIX socket of `netsplit serve`")
	flags.IntVar(&o.requests, "requests", 30000, "how many requests in total")
	flags.IntVar(&o.first, "first", 5000, "the first unplug comes before this request")
	flags.IntVar(&o.every, "every", 10000, "further unplugs follow after this many requests")
	flags.IntVar(&o.workers, "workers", 1, "requests at a time")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Millisecond, "timeout of each request")
	flags.BoolVar(&o.http1, "http1", false, "HTTP/1.1")
	flags.BoolVar(&o.h2c, "h2c", false, "HTTP/2 without TLS")
	flags.BoolVar(&o.wait, "wait", false, "print `ready` after one request and begin when stdin has a line")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	link, err := dialControl(o.control)
	if err != nil {
		return err
	}
	httpClient, err := newClient(o)
	if err != nil {
		return err
	}
	if o.wait {
		// One unhurried request, so that the connection is there and the code is warm.
		if _, err := get(httpClient, o.url(), 10*time.Second); err != nil {
			return err
		}
		fmt.Println("ready")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(run(o, httpClient, link))
}

func (o options) url() string {
	if o.h2c {
		return "http://" + o.address + "/"
	}
	return "https://" + o.address + "/"
}

func run(o options, httpClient *http.Client, link *control) *result {
	r := newResult(o)
	var next, inFlight atomic.Int64
	var workers sync.WaitGroup
	for range make([]struct{}, o.workers) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= o.requests {
					return
				}
				inFlight.Add(1)
				if i >= o.first && (i-o.first)%o.every == 0 {
					r.unplugging(i, int(inFlight.Load()), link.unplug)
				}
				began := time.Now()
				connection, err := get(httpClient, o.url(), o.timeout)
				inFlight.Add(-1)
				r.finished(request{i, connection, began, time.Since(began), err})
			}
		}()
	}
	workers.Wait()
	return r.done()
}

func newClient(o options) (*http.Client, error) {
	pem, err := os.ReadFile(o.authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + o.authority)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	transport.MaxIdleConnsPerHost = o.workers
	transport.ForceAttemptHTTP2 = !o.http1
	if o.http1 {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	if o.h2c {
		if err := cleartextClient(transport); err != nil {
			return nil, err
		}
	}
	return &http.Client{Transport: transport}, nil
}

// get returns the local address of the connection that the request was put on, if it got that far.
func get(client *http.Client, url string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	// The transport may still call this after the request has failed.
	var connection atomic.Value
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { connection.Store(got.Conn.LocalAddr().String()) },
	})
	err := exchange(ctx, client, url)
	local, _ := connection.Load().(string)
	return local, err
}

func exchange(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
