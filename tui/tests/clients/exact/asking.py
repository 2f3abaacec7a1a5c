"""HTTP/2 over any TLS object that can `send`, `receive` and `close` and has a `socket`: connections that open a known number of
streams and say so themselves."""
import json
import threading

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived, StreamEnded

BODY = bytes(40_000)
counts = {}


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


def connection(tls, i, streams, uploads):
    """Opens `streams` + i streams, four at a time, and cancels some of them after their response headers (RST_STREAM)."""
    one = Connection(tls)
    for k in range(streams + i - 1):
        cancel = k > 0 and k % (4 + i % 3) == 0
        upload = uploads and k % 5 == 2
        one.ask("/headers" if cancel else "/bytes/300", cancel, body=BODY if upload else None)
        # The connection's window is filled by one upload.
        one.finish(0 if upload else 3)
    one.finish(0)
    # Alone: with its end, everything has arrived.
    one.ask("/bytes/300")
    one.finish(0)
    tls.close()


def in_threads(function, n):
    """Calls function(i) for each i below n, each in a thread of its own."""
    threads = [threading.Thread(target=function, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def play(connect, connections, streams, uploads=False):
    """A thread for each connection. Prints, by its own port, how many it opened and cancelled."""
    in_threads(lambda i: connection(connect(), i, streams, uploads), connections)
    assert len(counts) == connections, counts
    print("CLIENT", json.dumps(counts), flush=True)
