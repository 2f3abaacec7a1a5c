"""Any version of OpenSSL: openssl.py LIBSSL HOST PORT CONNECTIONS STREAMS. What h2 says goes through that library and no other. It
loads it, connects once and says nothing, reads a line, and begins."""
import ctypes
import pathlib
import socket
import sys
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p

from asking import play

# The one beside it: a library in a wheel does not find its neighbours by itself.
for neighbour in pathlib.Path(sys.argv[1]).parent.glob("libcrypto*"):
    ctypes.CDLL(str(neighbour))
library = ctypes.CDLL(sys.argv[1])
for name, (result, arguments) in {
    "TLS_client_method": (c_void_p, []),
    "SSL_CTX_new": (c_void_p, [c_void_p]),
    "SSL_CTX_set_alpn_protos": (c_int, [c_void_p, c_char_p, c_int]),
    "SSL_new": (c_void_p, [c_void_p]),
    "SSL_set_fd": (c_int, [c_void_p, c_int]),
    "SSL_connect": (c_int, [c_void_p]),
    "SSL_write_ex": (c_int, [c_void_p, c_char_p, c_size_t, c_void_p]),
    "SSL_read": (c_int, [c_void_p, c_void_p, c_int]),
    "SSL_shutdown": (c_int, [c_void_p]),
    "SSL_free": (None, [c_void_p]),
}.items():
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments


class Tls:
    """A session over a socket that blocks."""

    def __init__(self, host, port, protocols):
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = library.SSL_CTX_new(library.TLS_client_method())
        assert library.SSL_CTX_set_alpn_protos(context, protocols, len(protocols)) == 0
        self.session = library.SSL_new(context)
        assert library.SSL_set_fd(self.session, self.socket.fileno()) == 1
        assert library.SSL_connect(self.session) == 1, "the handshake failed"
        self.buffer = ctypes.create_string_buffer(65536)

    def send(self, data):
        written = c_size_t()
        if data:
            assert library.SSL_write_ex(self.session, data, len(data), byref(written)) == 1
            assert written.value == len(data), "a part of it, without being asked for"

    def receive(self):
        n = library.SSL_read(self.session, self.buffer, len(self.buffer))
        assert n > 0, "SSL_read failed"
        return self.buffer.raw[:n]

    def close(self):
        library.SSL_shutdown(self.session)
        library.SSL_free(self.session)
        self.socket.close()


def main(host, port, connections, streams):
    Tls(host, int(port), b"\x08http/1.1").close()
    sys.stdin.readline()
    play(lambda: Tls(host, int(port), b"\x02h2"), int(connections), int(streams))


if __name__ == "__main__":
    main(*sys.argv[2:])
