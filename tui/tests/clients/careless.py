"""A client that minds nothing, over Python's OpenSSL: careless.py ADDRESS INTERVAL-MS.

Opens a stream per interval, whatever the server says, GOAWAY included. Says WAITING, and connects after a line on its standard
input; after another one it reads no more."""
import os
import select
import socket
import ssl
import sys
import time

HEADERS, SETTINGS, PING = 1, 4, 6
END_OR_ACK, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REQUEST = b"\x82\x86\x84\x01\x01t"


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def acknowledge(connection, data):
    """Answers SETTINGS and PING; gives back what is no whole frame yet."""
    while len(data) >= 9 and len(data) >= 9 + (length := int.from_bytes(data[:3], "big")):
        kind, flags, payload = data[3], data[4], data[9:9 + length]
        if flags & END_OR_ACK == 0 and kind in (SETTINGS, PING):
            connection.sendall(frame(kind, END_OR_ACK, 0, payload if kind == PING else b""))
        data = data[9 + length:]
    return data


def connect(address):
    host, port = address.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection((host, int(port)))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain)


def main(address, interval):
    print("WAITING", flush=True)
    # Unbuffered: select() must see what was not read.
    while os.read(0, 1) != b"\n":
        pass
    connection = connect(address)
    connection.sendall(PREFACE + frame(SETTINGS))
    print("CONNECTED", flush=True)
    stream, due, data, sources = 1, time.monotonic(), b"", [connection, 0]
    while True:
        left = due - time.monotonic()
        if left <= 0:
            connection.sendall(frame(HEADERS, END_HEADERS | END_OR_ACK, stream, REQUEST))
            stream, due = stream + 2, due + interval
            continue
        ready = select.select(sources, [], [], left)[0]
        if 0 in ready:
            # Told to read no more, or left alone.
            sources = [] if os.read(0, 100) else [connection]
        elif ready:
            received = connection.recv(65536)
            if not received:
                return
            data = acknowledge(connection, data + received)


main(sys.argv[1], int(sys.argv[2]) / 1000)
