# The GnuTLS library itself, through ctypes: a TLS client socket that offers h2.
import ctypes
import socket
import time

GNUTLS_CLIENT = 1 << 1
GNUTLS_CRD_CERTIFICATE = 1
E_AGAIN, E_INTERRUPTED = -28, -52
DEFAULT_TIMEOUT = ctypes.c_uint(-1 & 0xFFFFFFFF)

library = ctypes.CDLL("libgnutls.so.30")
for name in ("gnutls_record_send", "gnutls_record_recv"):
    getattr(library, name).restype = ctypes.c_ssize_t
    getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]


class Datum(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_uint)]


def check(result):
    assert result >= 0, f"GnuTLS: {result}"


class GnuTls:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session, self.credentials = ctypes.c_void_p(), ctypes.c_void_p()
        check(library.gnutls_certificate_allocate_credentials(ctypes.byref(self.credentials)))
        check(library.gnutls_init(ctypes.byref(self.session), GNUTLS_CLIENT))
        check(library.gnutls_set_default_priority(self.session))
        check(library.gnutls_credentials_set(self.session, GNUTLS_CRD_CERTIFICATE, self.credentials))
        self.h2 = Datum(b"h2", 2)
        check(library.gnutls_alpn_set_protocols(self.session, ctypes.byref(self.h2), 1, 0))
        descriptor = self.socket.fileno()
        library.gnutls_transport_set_int2(self.session, descriptor, descriptor)
        library.gnutls_handshake_set_timeout(self.session, DEFAULT_TIMEOUT)
        while (result := library.gnutls_handshake(self.session)) in (E_AGAIN, E_INTERRUPTED):
            pass
        check(result)
        self.socket.setblocking(False)
        self.buffer = ctypes.create_string_buffer(65536)

    def fileno(self):
        return self.socket.fileno()

    def send(self, data):
        while data:
            sent = library.gnutls_record_send(self.session, data, len(data))
            if sent in (E_AGAIN, E_INTERRUPTED):
                time.sleep(0.001)
                continue
            check(sent)
            data = data[sent:]

    def receive(self):
        """What is there; None when nothing is."""
        got = library.gnutls_record_recv(self.session, self.buffer, len(self.buffer))
        if got in (E_AGAIN, E_INTERRUPTED):
            return None
        check(got)
        return self.buffer.raw[:got]
