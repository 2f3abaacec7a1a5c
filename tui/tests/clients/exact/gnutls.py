"""GnuTLS: gnutls.py HOST PORT CONNECTIONS STREAMS [resume]. What h2 says goes through libgnutls.

`resume`: sockets do not block and have small buffers, some requests have a body, and a write that would block is finished by an
empty one; prints how many were."""
import ctypes
import select
import socket
import sys
from ctypes import byref, c_char_p, c_int, c_size_t, c_ssize_t, c_uint, c_void_p

from asking import play

CLIENT, CERTIFICATE, AGAIN = 2, 1, (-28, -52)
RESUME = sys.argv[5:] == ["resume"]
resumed = []

library = ctypes.CDLL("libgnutls.so.30")
library.gnutls_record_send.argtypes = [c_void_p, c_char_p, c_size_t]
library.gnutls_record_recv.argtypes = [c_void_p, c_void_p, c_size_t]
library.gnutls_record_send.restype = library.gnutls_record_recv.restype = c_ssize_t
for name, arguments in {
    "gnutls_set_default_priority": [c_void_p],
    "gnutls_credentials_set": [c_void_p, c_int, c_void_p],
    "gnutls_alpn_set_protocols": [c_void_p, c_void_p, c_uint, c_uint],
    "gnutls_transport_set_int2": [c_void_p, c_int, c_int],
    "gnutls_handshake": [c_void_p],
    "gnutls_bye": [c_void_p, c_int],
    "gnutls_deinit": [c_void_p],
}.items():
    getattr(library, name).argtypes = arguments


class Datum(ctypes.Structure):
    _fields_ = [("data", c_char_p), ("size", c_uint)]


def check(result):
    assert result >= 0, f"GnuTLS error {result}"


class Tls:
    """A session over a socket that blocks, or (`resume`) is waited for here."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if RESUME:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        session, credentials = c_void_p(), c_void_p()
        check(library.gnutls_init(byref(session), CLIENT))
        check(library.gnutls_set_default_priority(session))
        check(library.gnutls_certificate_allocate_credentials(byref(credentials)))
        check(library.gnutls_credentials_set(session, CERTIFICATE, credentials))
        check(library.gnutls_alpn_set_protocols(session, byref(Datum(b"h2", 2)), 1, 0))
        library.gnutls_transport_set_int2(session, self.socket.fileno(), self.socket.fileno())
        while (result := library.gnutls_handshake(session)) in AGAIN:
            pass
        check(result)
        self.session = session
        self.socket.setblocking(not RESUME)
        self.buffer = ctypes.create_string_buffer(65536)

    def send(self, data):
        while data:
            sent = library.gnutls_record_send(self.session, data, len(data))
            while RESUME and sent in AGAIN:
                select.select([], [self.socket], [])
                resumed.append(sent := library.gnutls_record_send(self.session, None, 0))
            if sent not in AGAIN:
                check(sent)
                data = data[sent:]

    def receive(self):
        while (n := library.gnutls_record_recv(self.session, self.buffer, len(self.buffer))) in AGAIN:
            select.select([self.socket], [], [])
        check(n)
        return self.buffer.raw[:n]

    def close(self):
        library.gnutls_bye(self.session, 1)
        library.gnutls_deinit(self.session)
        self.socket.close()


def main(host, port, connections, streams, *_):
    play(lambda: Tls(host, int(port)), int(connections), int(streams), uploads=RESUME)
    if RESUME:
        print("RESUMED", sum(n > 0 for n in resumed))


if __name__ == "__main__":
    main(*sys.argv[1:])
