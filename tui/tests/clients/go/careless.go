// A client that minds nothing, over Go's TLS: careless ADDRESS INTERVAL-MS. Opens a stream per interval, whatever the server
// says, GOAWAY included. Says WAITING, and connects after a line on its standard input; after another one it reads no more.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	headers     = 1
	settings    = 4
	ping        = 6
	endOrAck    = 1
	endHeaders  = 4
	getFromHost = "\x82\x86\x84\x01\x01t"
)

var writing sync.Mutex

func careless(address, interval string) {
	input := bufio.NewReader(os.Stdin)
	fmt.Println("WAITING")
	input.ReadString('\n')
	connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		panic(err)
	}
	io.WriteString(connection, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	writeFrame(connection, settings, 0, 0, nil)
	fmt.Println("CONNECTED")
	var deaf atomic.Bool
	go func() {
		if _, err := input.ReadString('\n'); err == nil {
			deaf.Store(true)
		}
	}()
	go func() {
		for !deaf.Load() && readFrame(connection) == nil {
		}
	}()
	for stream := uint32(1); ; stream += 2 {
		if writeFrame(connection, headers, endHeaders|endOrAck, stream, []byte(getFromHost)) != nil {
			return
		}
		time.Sleep(time.Duration(number(interval)) * time.Millisecond)
	}
}

func writeFrame(to io.Writer, kind, flags byte, stream uint32, payload []byte) error {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	frame = append(frame, flags)
	frame = binary.BigEndian.AppendUint32(frame, stream)
	writing.Lock()
	defer writing.Unlock()
	_, err := to.Write(append(frame, payload...))
	return err
}

// Reads a frame, and acknowledges SETTINGS and PING.
func readFrame(connection *tls.Conn) error {
	header := make([]byte, 9)
	if _, err := io.ReadFull(connection, header); err != nil {
		return err
	}
	payload := make([]byte, binary.BigEndian.Uint32(header)>>8)
	if _, err := io.ReadFull(connection, payload); err != nil {
		return err
	}
	kind, flags := header[3], header[4]
	if flags&endOrAck != 0 {
		return nil
	}
	switch kind {
	case settings:
		return writeFrame(connection, settings, endOrAck, 0, nil)
	case ping:
		return writeFrame(connection, ping, endOrAck, 0, payload)
	}
	return nil
}
