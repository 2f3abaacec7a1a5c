//go:build !go1.24

package main

import (
	"errors"
	"net/http"
	"runtime"
)

var errNoCleartext = errors.New(runtime.Version() + " has no HTTP/2 without TLS in its standard library")

func cleartextServer(*http.Server) error    { return errNoCleartext }
func cleartextClient(*http.Transport) error { return errNoCleartext }
