// POST /echo with marks, every ten milliseconds until standard input ends: marked ORIGIN, over TLS or without. The marks are in
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

func marked(origin string) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	insecure := &tls.Config{InsecureSkipVerify: true}
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, TLSClientConfig: insecure}}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for range time.Tick(10 * time.Millisecond) {
		body := strings.NewReader(os.Getenv("H2WATCH_MARK_BODY"))
		request, err := http.NewRequest("POST", origin+"/echo", body)
		if err != nil {
			panic(err)
		}
		request.Header.Set("x-mark", os.Getenv("H2WATCH_MARK_HEADER"))
		response, err := client.Do(request)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}
