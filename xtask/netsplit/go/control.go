package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
)

// A control is the connection to the process that holds the link.
type control struct {
	conn  net.Conn
	lines *bufio.Reader
}

func dialControl(path string) (*control, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	return &control{conn, bufio.NewReader(conn)}, nil
}

// unplug returns when the link has stopped copying, with the local addresses of the connections that are dead now.
func (c *control) unplug() ([]string, error) {
	if _, err := fmt.Fprintln(c.conn, "unplug"); err != nil {
		return nil, err
	}
	line, err := c.lines.ReadString('\n')
	return strings.Fields(line), err
}
