"""GnuTLS: gnutls.py HOST PORT CONNECTIONS STREAMS [resume]. What h2 says goes through libgnutls. Connection i opens STREAMS + i
streams, four at a time, and cancels some of them after their response headers (RST_STREAM). Prints, by its own port, how many it
opened and cancelled.

`resume`: sockets do not block and have small buffers, some requests have a body, and a write that would block is finished by an
empty one; prints how many were."""
import ctypes
import json
import select
import socket
import sys
import threading
from ctypes import byref, c_char_p, c_int, c_size_t, c_ssize_t, c_uint, c_void_p

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived, StreamEnded

CLIENT, CERTIFICATE, AGAIN = 2, 1, (-28, -52)
RESUME = sys.argv[5:] == ["resume"]
BODY = bytes(40_000)
counts = {}
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


class Connection:
    def __init__(self, tls):
        self.tls = tls
        self.http2 = H2Connection(config=H2Configuration())
        self.http2.initiate_connection()
        self.count = {"opened": 0, "cancelled": 0}
        counts[self.tls.socket.getsockname()[1]] = self.count
        # Stream -> whether it is to be cancelled.
        self.open = {}

    def send(self):
        self.tls.send(self.http2.data_to_send())

    def ask(self, path, cancel=False, header=None, body=None):
        stream = self.http2.get_next_available_stream_id()
        headers = [(":method", "POST" if body else "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self.http2.send_headers(stream, headers + ([header] if header else []), end_stream=not body)
        if body:
            most = self.http2.max_outbound_frame_size
            for at in range(0, len(body), most):
                self.http2.send_data(stream, body[at : at + most], end_stream=at + most >= len(body))
        self.open[stream] = cancel
        self.count["opened"] += 1

    def hear(self):
        data = self.tls.receive()
        assert data, "the server has closed"
        for event in self.http2.receive_data(data):
            if isinstance(event, DataReceived):
                self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, ResponseReceived) and self.open[event.stream_id]:
                self.http2.reset_stream(event.stream_id, ErrorCodes.CANCEL)
                self.count["cancelled"] += 1
                del self.open[event.stream_id]
            elif isinstance(event, StreamEnded):
                del self.open[event.stream_id]
        self.send()

    def finish(self, left):
        """Until at most `left` streams are open."""
        self.send()
        while len(self.open) > left:
            self.hear()


def connection(host, port, i, streams):
    one = Connection(Tls(host, port))
    for k in range(streams + i - 1):
        cancel = k > 0 and k % (4 + i % 3) == 0
        upload = RESUME and k % 5 == 2
        one.ask("/headers" if cancel else "/bytes/300", cancel, body=BODY if upload else None)
        # The connection's window is filled by one upload.
        one.finish(0 if upload else 3)
    one.finish(0)
    # Alone: with its end, everything has arrived.
    one.ask("/bytes/300")
    one.finish(0)
    one.tls.close()


def main(host, port, connections, streams, *_):
    starts = [(host, int(port), i, int(streams)) for i in range(int(connections))]
    threads = [threading.Thread(target=connection, args=start) for start in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == int(connections), counts
    if RESUME:
        print("RESUMED", sum(n > 0 for n in resumed))
    print("CLIENT", json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
