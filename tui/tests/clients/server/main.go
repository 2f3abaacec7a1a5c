// A server that writes down the plaintext of every connection, both ways, under the client's port: what h2watch says of a
// socket is compared with what its peer saw. `server FOLDER OPTION..` says SERVING ADDRESS. Options: `v6`, `h2c` (no TLS),
// `tls12`, `chacha` (TLS 1.2 with ChaCha20-Poly1305), `1.1` (only HTTP/1.1), `no-alpn`, `curt` (SETTINGS right behind the
// handshake, and then nothing; nothing is written down), `lines` (no HTTP and no ALPN: a greeting, and each line comes back).
//
// FOLDER/PORT.sent and PORT.received are the bytes, PORT.done is there when the connection is over.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

func main() {
	options := map[string]bool{}
	for _, option := range os.Args[2:] {
		options[option] = true
	}
	address := "127.0.0.1:0"
	if options["v6"] {
		address = "[::1]:0"
	}
	listener, err := net.Listen("tcp", address)
	check(err)
	fmt.Println("SERVING", listener.Addr())
	if !options["h2c"] {
		listener = tls.NewListener(listener, config(options))
	}
	if options["curt"] {
		serveCurtly(listener)
	}
	if options["lines"] {
		serveLines(&recorder{listener, os.Args[1], 0})
	}
	// The plaintext is served: then net/http needs to know nothing of TLS, and its HTTP/2 takes any cipher.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:   http.HandlerFunc(answer),
		Protocols: protocols,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 1000},
		ConnContext: func(ctx context.Context, client net.Conn) context.Context {
			return context.WithValue(ctx, before{}, client.(*recorded).before)
		},
	}
	check(server.Serve(&recorder{listener, os.Args[1], 0}))
}

func serveCurtly(listener net.Listener) {
	for {
		client, err := listener.Accept()
		check(err)
		go func() {
			// An empty SETTINGS frame.
			client.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
			io.Copy(io.Discard, client)
		}()
	}
}

func serveLines(listener net.Listener) {
	for {
		client, err := listener.Accept()
		check(err)
		go func() {
			defer client.Close()
			io.WriteString(client, "220 at your service\r\n")
			for lines := bufio.NewScanner(client); lines.Scan(); {
				io.WriteString(client, "250 "+lines.Text()+"\r\n")
			}
		}()
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func config(options map[string]bool) *tls.Config {
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}, NextProtos: []string{"h2", "http/1.1"}}
	if options["tls12"] || options["chacha"] {
		config.MaxVersion = tls.VersionTLS12
	}
	if options["chacha"] {
		config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	}
	if options["1.1"] {
		config.NextProtos = []string{"http/1.1"}
	}
	if options["no-alpn"] || options["lines"] {
		config.NextProtos = nil
	}
	return config
}

// One that signs itself; the clients of these tests do not look at it.
func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		// Java takes no certificate whose issuer has no name.
		Subject:     pkix.Name{CommonName: "localhost"},
		NotBefore:   time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(24 * time.Hour),
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

type recorder struct {
	net.Listener
	folder   string
	accepted int
}

// Of a request's context: how many connections were there before its own.
type before struct{}

func (r *recorder) Accept() (net.Conn, error) {
	client, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(client.RemoteAddr().String())
	check(err)
	file := func(kind string) *os.File {
		file, err := os.Create(filepath.Join(r.folder, port+"."+kind))
		check(err)
		return file
	}
	// PORT.sent comes last: who finds it finds its twin as well.
	received := file("received")
	recorded := &recorded{Conn: client, sent: file("sent"), received: received, before: r.accepted}
	r.accepted++
	recorded.done = func() { file("done").Close() }
	return recorded, nil
}

// A connection as its client sees it: what it sent, what it received.
type recorded struct {
	net.Conn
	sent, received *os.File
	before         int
	done           func()
	once           sync.Once
}

func (r *recorded) Read(bytes []byte) (int, error) {
	n, err := r.Conn.Read(bytes)
	r.sent.Write(bytes[:n])
	return n, err
}

// Noted before it is sent: when the client has an answer, it is written down.
func (r *recorded) Write(bytes []byte) (int, error) {
	r.received.Write(bytes)
	return r.Conn.Write(bytes)
}

func (r *recorded) Close() error {
	err := r.Conn.Close()
	r.once.Do(r.done)
	return err
}
