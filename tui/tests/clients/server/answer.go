package main

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// What is answered is in the path: /bytes/N is N bytes; /headers is an answer without its body, which never comes; /hang is
// none at all; /own is a hundred bytes and one for each connection that was there before, so that no two connections have the
// same answers; /port is a line with the client's port, as much longer by spaces; /echo.. is what was sent (the query where that is nothing), with its header X-Mark; /stream is the same, piece
// by piece while it comes; /chunks is as long in each record as the first frames of a server of HTTP/2, where it is HTTP/1.1.
func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/stream" {
		stream(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch size, sized := strings.CutPrefix(r.URL.Path, "/bytes/"); {
	case sized:
		n, err := strconv.Atoi(size)
		check(err)
		io.WriteString(w, strings.Repeat("x", n))
	case r.URL.Path == "/headers":
		w.Header().Set("Content-Length", "100000000")
		w.WriteHeader(http.StatusOK)
		// An error is a client that has cancelled already.
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case r.URL.Path == "/hang":
		<-r.Context().Done()
	case r.URL.Path == "/own":
		io.WriteString(w, strings.Repeat("x", 100)+own(r))
	case r.URL.Path == "/port":
		_, port, err := net.SplitHostPort(r.RemoteAddr)
		check(err)
		io.WriteString(w, port+own(r)+"\n")
	case r.URL.Path == "/chunks":
		chunks(w)
	case strings.HasPrefix(r.URL.Path, "/echo"):
		w.Header().Set("X-Mark", r.Header.Get("X-Mark"))
		if len(body) == 0 {
			body = []byte(r.URL.RawQuery)
		}
		w.Write(body)
	default:
		http.NotFound(w, r)
	}
}

// As many spaces as there were connections before.
func own(r *http.Request) string {
	return strings.Repeat(" ", r.Context().Value(before{}).(int))
}

// A chunk has its length and two line ends: 15 bytes as SETTINGS with one entry, then 9 as acknowledgements.
func chunks(w http.ResponseWriter) {
	for _, piece := range []string{"head", "0123456789", "abcd", "abcd", "abcd"} {
		io.WriteString(w, piece)
		check(http.NewResponseController(w).Flush())
	}
}

func stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Mark", r.Header.Get("X-Mark"))
	piece := make([]byte, 4096)
	for {
		n, err := r.Body.Read(piece)
		w.Write(piece[:n])
		// The client ends when it is killed.
		if http.NewResponseController(w).Flush() != nil || err != nil {
			return
		}
	}
}
