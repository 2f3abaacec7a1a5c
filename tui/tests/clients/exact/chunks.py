"""HTTP/1.1 over TLS in records as long as those of HTTP/2: chunks.py fit|mimic HOST PORT. It offers h2 as well, and must not get it.

`fit`: a GET of each length of a preface with SETTINGS and its neighbours, each on a connection of its own; the server answers in
chunks of 9 bytes. `mimic`: one POST whose records are as long as those of a client of HTTP/2, and an answer like that of a server."""
import socket
import ssl
import sys

MODE, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
# "4\r\nabcd\r\n": as long as an acknowledgement of SETTINGS.
CHUNK = b"4\r\nabcd\r\n"

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.set_alpn_protocols(["h2", "http/1.1"])


def request(line, length):
    """A request of exactly this length."""
    head = f"{line} HTTP/1.1\r\nHost: h\r\nX: "
    text = head + "x" * (length - len(head) - 4) + "\r\n\r\n"
    assert len(text) == length, (len(text), length)
    return text.encode()


def connect():
    connected = socket.create_connection((HOST, PORT))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tls = context.wrap_socket(connected)
    assert tls.selected_alpn_protocol() in (None, "http/1.1"), tls.selected_alpn_protocol()
    return tls


def hear(tls):
    answer = b""
    while not answer.endswith(b"0\r\n\r\n"):
        data = tls.recv(65536)
        assert data, "the server has closed"
        answer += data


if MODE == "fit":
    for length in range(72, 96):
        with connect() as tls:
            tls.sendall(request("GET /chunks", length))
            hear(tls)
else:
    with connect() as tls:
        head = "POST /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        # 9 + 6n bytes behind the preface's 24.
        length = next(n for n in range(33, 94, 6) if n >= len(head) + 5)
        tls.sendall((head[:-2] + "X: " + "x" * (length - len(head) - 5) + "\r\n\r\n").encode())
        for _ in range(20):
            tls.sendall(CHUNK)
        tls.sendall(b"0\r\n\r\n")
        hear(tls)
