// A client that calls and hangs up: caller ORIGIN INTERVAL-MS TIMEOUT-MS PATH UPLOAD-BYTES. A request per interval, over Go's
// own connection pool, cancelled after the timeout. Says CONNECTED for each connection. With TLS it says WAITING first, and
// connects after a line on its standard input.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func call(arguments []string) {
	origin, path := arguments[0], arguments[3]
	interval, timeout, upload := number(arguments[1]), number(arguments[2]), number(arguments[4])
	if strings.HasPrefix(origin, "https:") {
		waitForLine()
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	insecure := &tls.Config{InsecureSkipVerify: true}
	dial := func(ctx context.Context, network, to string) (net.Conn, error) {
		connection, err := new(net.Dialer).DialContext(ctx, network, to)
		if err == nil {
			fmt.Println("CONNECTED")
		}
		return connection, err
	}
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, DialContext: dial, TLSClientConfig: insecure}}
	for range time.Tick(time.Duration(interval) * time.Millisecond) {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(timeout)*time.Millisecond)
			defer cancel()
			exchange(ctx, client, origin+path, upload)
		}()
	}
}

func exchange(ctx context.Context, client *http.Client, url string, upload int) {
	method, body := "GET", io.Reader(nil)
	if upload > 0 {
		method, body = "POST", strings.NewReader(strings.Repeat("x", upload))
	}
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		panic(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
}

func waitForLine() {
	fmt.Println("WAITING")
	bufio.NewReader(os.Stdin).ReadString('\n')
}

func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return n
}
