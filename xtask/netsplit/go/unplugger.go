package main

import (
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
)

// An unplugger pulls the link out when the server has had so many requests: for clients that cannot ask for it.
type unplugger struct {
	first, every int
	link         atomic.Pointer[link]

	mu                 sync.Mutex
	requests, inFlight int
}

// began counts a request, and gives what counts its end. An unplug is one line of JSON on stdout.
func (u *unplugger) began() func() {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := u.requests
	u.requests++
	u.inFlight++
	if link := u.link.Load(); link != nil && u.first >= 0 && i >= u.first && (i-u.first)%u.every == 0 {
		json.NewEncoder(os.Stdout).Encode(map[string]any{
			"before_request": i, "in_flight": u.inFlight, "dead": link.unplug(),
		})
	}
	return func() {
		u.mu.Lock()
		u.inFlight--
		u.mu.Unlock()
	}
}
