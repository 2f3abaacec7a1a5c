package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// A link copies bytes between clients and a server until it is unplugged. Then it silently stops: every socket stays open,
// and the kernel goes on acknowledging what the client sends, until a buffer is full. New connections work.
type link struct {
	listener net.Listener
	server   string
	mu       sync.Mutex
	wires    map[*wire]bool
}

// A wire is one connection through the link.
type wire struct {
	client, server net.Conn
	unplugged      bool // guarded by link.mu
}

func newLink(server string) (*link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{listener: listener, server: server, wires: map[*wire]bool{}}
	go l.accept()
	return l, nil
}

func (l *link) address() string { return l.listener.Addr().String() }

func (l *link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", l.server)
		if err != nil {
			client.Close()
			continue
		}
		w := &wire{client: client, server: server}
		l.mu.Lock()
		l.wires[w] = true
		l.mu.Unlock()
		go l.copy(w, server, client)
		go l.copy(w, client, server)
	}
}

// copy runs until one side closes; an unplugged wire keeps both sockets open and is never closed by the link.
func (l *link) copy(w *wire, to, from net.Conn) {
	io.Copy(to, from)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !w.unplugged {
		w.client.Close()
		w.server.Close()
		delete(l.wires, w)
	}
}

// unplug stops every wire that exists now and returns the clients' addresses.
func (l *link) unplug() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var clients []string
	past := time.Unix(1, 0)
	for w := range l.wires {
		if !w.unplugged {
			w.unplugged = true
			w.client.SetDeadline(past)
			w.server.SetDeadline(past)
			clients = append(clients, w.client.RemoteAddr().String())
		}
	}
	return clients
}
