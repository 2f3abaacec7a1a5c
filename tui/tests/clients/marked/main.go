// An old Go: POST /echo over TLS with marks, every ten milliseconds until standard input ends: marked ORIGIN. The marks are in
// H2WATCH_MARK_HEADER and H2WATCH_MARK_BODY.
package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	insecure := &tls.Config{InsecureSkipVerify: true}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: insecure}}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for range time.Tick(10 * time.Millisecond) {
		body := strings.NewReader(os.Getenv("H2WATCH_MARK_BODY"))
		request, err := http.NewRequest("POST", os.Args[1]+"/echo", body)
		check(err)
		request.Header.Set("x-mark", os.Getenv("H2WATCH_MARK_HEADER"))
		response, err := client.Do(request)
		check(err)
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
