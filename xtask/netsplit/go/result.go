package main

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A result is what the client prints. Requests count from 0.
type result struct {
	Go        string  `json:"go"`
	Protocol  string  `json:"protocol"`
	Requests  int     `json:"requests"`
	Workers   int     `json:"workers"`
	TimeoutMs float64 `json:"timeout_ms"`
	Failures  int     `json:"failures"`
	// Of those, on a connection that was not unplugged: what this machine, or a reset of a healthy connection, lost.
	OnHealthy       int            `json:"failures_on_healthy_connections"`
	Errors          map[string]int `json:"errors"`
	OnHealthyErrors map[string]int `json:"errors_on_healthy_connections"`
	Unplugs         []*unplug      `json:"unplugs"`
	// Slowest request that succeeded.
	SlowestMs float64 `json:"slowest_success_ms"`
	ElapsedMs float64 `json:"elapsed_ms"`

	mu    sync.Mutex
	began time.Time
	dead  map[string]bool // guarded by mu
}

// An unplug with the failures from it to the next one.
type unplug struct {
	Before int `json:"before_request"`
	// Local addresses of the connections that were unplugged.
	Dead     []string `json:"dead"`
	InFlight int      `json:"in_flight"`
	UnixNs   int64    `json:"unix_ns"`
	Failures int      `json:"failures"`
	First    []fail   `json:"first_failures"`
}

// A fail is one lost request: when it began after the unplug, how long it took, why.
type fail struct {
	Request    int     `json:"request"`
	Connection string  `json:"connection"`
	AfterMs    float64 `json:"began_after_ms"`
	TookMs     float64 `json:"took_ms"`
	Error      string  `json:"error"`
}

// A request that has ended, well or not.
type request struct {
	index      int
	connection string
	began      time.Time
	took       time.Duration
	err        error
}

// Enough to see a pattern; the counts are complete.
const keptFailures = 8

func newResult(o options) *result {
	protocol := "h2"
	if o.http1 {
		protocol = "http/1.1"
	} else if o.h2c {
		protocol = "h2c"
	}
	return &result{
		Go: runtime.Version(), Protocol: protocol, Requests: o.requests, Workers: o.workers,
		TimeoutMs: milliseconds(o.timeout), Errors: map[string]int{}, OnHealthyErrors: map[string]int{},
		Unplugs: []*unplug{}, began: time.Now(), dead: map[string]bool{},
	}
}

// unplugging holds the lock while the link is unplugged, so that no failure is counted before its connection is known dead.
func (r *result) unplugging(before, inFlight int, pull func() ([]string, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := time.Now()
	connections, err := pull()
	if err != nil {
		r.Errors["cannot unplug: "+err.Error()]++
	}
	if connections == nil {
		connections = []string{}
	}
	for _, connection := range connections {
		r.dead[connection] = true
	}
	r.Unplugs = append(r.Unplugs, &unplug{
		Before: before, Dead: connections, InFlight: inFlight, UnixNs: at.UnixNano(), First: []fail{},
	})
}

func (r *result) finished(q request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.err == nil {
		r.SlowestMs = max(r.SlowestMs, milliseconds(q.took))
		return
	}
	r.Failures++
	r.Errors[kind(q.err)]++
	if !r.dead[q.connection] {
		r.OnHealthy++
		r.OnHealthyErrors[kind(q.err)]++
	}
	if len(r.Unplugs) == 0 {
		return
	}
	u := r.Unplugs[len(r.Unplugs)-1]
	u.Failures++
	if len(u.First) < keptFailures {
		after := milliseconds(q.began.Sub(time.Unix(0, u.UnixNs)))
		u.First = append(u.First, fail{q.index, q.connection, after, milliseconds(q.took), q.err.Error()})
	}
}

func (r *result) done() *result {
	r.ElapsedMs = milliseconds(time.Since(r.began))
	return r
}

// kind is an error without its addresses.
func kind(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "deadline exceeded"
	}
	text := err.Error()
	return strings.TrimSpace(text[strings.LastIndex(text, ": ")+1:])
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
