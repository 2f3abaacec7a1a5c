"""By hand with OpenSSL: early.py socket|memory|late HOST PORT BEGIN. When the pipe BEGIN is opened it connects, reads the server's
SETTINGS before it writes anything, asks once, and never reads again. `memory`: OpenSSL does not know the socket. `late`: likewise,
and what was encrypted is sent much later; it asks many times."""
import socket
import ssl
import sys
import time

MODE, HOST, PORT, BEGIN = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = 4


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


# RFC 7541, appendix A: GET, https, /bytes/100 and an authority, as literals where the table has no entry.
REQUEST = b"\x82\x87" + b"\x04\x0a/bytes/100" + b"\x01\x04test"
ASK = PREFACE + frame(SETTINGS, 0, 0) + frame(1, 0x5, 1, REQUEST)

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.set_alpn_protocols(["h2"])
open(BEGIN).close()
plain = socket.create_connection((HOST, PORT))


class Memory:
    """TLS through two memory BIOs."""

    def __init__(self):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self.call(self.tls.do_handshake)

    def call(self, function, *arguments):
        while True:
            try:
                result = function(*arguments)
                if MODE == "late" and arguments:
                    time.sleep(0.02)
                plain.sendall(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                plain.sendall(self.outgoing.read())
                self.incoming.write(plain.recv(65536))

    def recv(self, n):
        return self.call(self.tls.read, n)

    def sendall(self, data):
        self.call(self.tls.write, data)


tls = context.wrap_socket(plain) if MODE == "socket" else Memory()
head = b""
while len(head) < 9:
    head += tls.recv(9 - len(head))
assert head[3] == SETTINGS and head[4] == 0, head
left = int.from_bytes(head[:3], "big")
while left:
    left -= len(tls.recv(left))
tls.sendall(ASK)
for stream in range(3, 101, 2) if MODE == "late" else ():
    tls.sendall(frame(1, 0x5, stream, REQUEST))
time.sleep(600)
