"""POST /echo with marks, every ten milliseconds until standard input ends: marked.py async|sync|gnutls|ssl ORIGIN. The marks are in
H2WATCH_MARK_HEADER and H2WATCH_MARK_BODY."""
import asyncio
import os
import pathlib
import socket
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

import httpx

MODE, ORIGIN = sys.argv[1], sys.argv[2]
HEADER, BODY = ("x-mark", os.environ["H2WATCH_MARK_HEADER"]), os.environ["H2WATCH_MARK_BODY"].encode()
OPTIONS = {"http1": False, "http2": True, "verify": False}
PAUSE_S = 0.01
over = threading.Event()


def end_with_input():
    sys.stdin.read()
    over.set()


async def asyncio_client():
    async with httpx.AsyncClient(**OPTIONS) as client:
        while not over.is_set():
            response = await client.post(ORIGIN + "/echo", headers=[HEADER], content=BODY)
            assert response.content == BODY
            await asyncio.sleep(PAUSE_S)


def sync_client():
    with httpx.Client(**OPTIONS) as client:
        while not over.is_set():
            assert client.post(ORIGIN + "/echo", headers=[HEADER], content=BODY).content == BODY
            time.sleep(PAUSE_S)


class PlainSsl:
    """What gnutls.py's sessions can, with Python's ssl on a socket that blocks."""

    def __init__(self, host, port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        connected = socket.create_connection((host, port))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(connected)
        # Reads that end within a header, and within a body.
        self.receive = lambda: self.socket.recv(21)

    def send(self, data):
        self.socket.sendall(data)


def socket_client():
    sys.path.append(str(pathlib.Path(__file__).parent.parent / "exact"))
    import asking
    import gnutls

    address = urlsplit(ORIGIN)
    tls = {"ssl": PlainSsl, "gnutls": gnutls.Tls}[MODE]
    one = asking.Connection(tls(address.hostname, address.port))
    while not over.is_set():
        one.ask("/echo", header=HEADER, body=BODY)
        one.finish(0)
        time.sleep(PAUSE_S)


threading.Thread(target=end_with_input, daemon=True).start()
if MODE == "async":
    asyncio.run(asyncio_client())
else:
    {"sync": sync_client, "gnutls": socket_client, "ssl": socket_client}[MODE]()
