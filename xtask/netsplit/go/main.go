// Command netsplit measures what a client loses when its connection dies silently: the experiment of golang/go#63422.
//
// `netsplit serve` is a TLS server behind a user-space link; `netsplit client` sends requests through the link and has it
// unplugged now and then. They are two processes so that a tool that watches the client sees only client connections.
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func([]string) error{"serve": serve, "client": client}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: netsplit serve|client [flags] (each has -help)")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "netsplit %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
