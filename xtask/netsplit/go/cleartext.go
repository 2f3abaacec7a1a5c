//go:build go1.24

package main

import "net/http"

// cleartextServer and cleartextClient make HTTP/2 without TLS (prior knowledge), which the standard library has since 1.24.
func cleartextServer(server *http.Server) error {
	server.Protocols = cleartext()
	return nil
}

func cleartextClient(transport *http.Transport) error {
	transport.Protocols = cleartext()
	return nil
}

func cleartext() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}
